//! The stable codes of notices that a script may act on, each with its explanation. A code never changes its meaning.

use crate::code::codes;

codes! {
    /// What a notice is about. A notice about the progress of a run has no code.
    NoticeCode
    LeftAlone "left-alone" {
        "A resource has a name of this stack, or its tags, but is not part of it."
        "It was neither changed nor deleted."
        "Delete it yourself if it is not needed."
    }
    LockNotReleased "lock-not-released" {
        "A run could not release its lock on the stack or on the API."
        "The lock expires after some minutes. Until then, other runs are refused."
        "Wait, or run `threescale-gw unlock`."
    }
    LockTakenOver "lock-taken-over" {
        "The lock of an earlier run had expired, and this run took it over."
        "The earlier run was interrupted: this one completes its work."
        "Find out why the earlier run ended, for example a time limit of the job."
    }
    LockLost "lock-lost" {
        "The lock of this run was released or taken over, or could not be renewed."
        "The run stops after the calls in progress."
        "Run the same command again when no other run is in progress."
    }
    NotKnown "not-known" {
        "Something could not be read, mostly because a permission is missing."
        "The notice says what is not known, and what follows from it. The run continues."
        "Add the permission: `threescale-gw iam-policy` prints all of them."
    }
    RegionSkipped "region-skipped" {
        "The stacks of a Region could not be listed or read."
        "Expired stacks in that Region stay, and cost money."
        "Add the permission that the notice names, or run the command for that Region alone."
    }
    UsageLeft "usage-left" {
        "What was counted since the last report could not be delivered to 3scale before the cache was left or deleted."
        "The notice says whether it stays in the cache or is lost. Callers notice nothing."
        "Remove the cause that the notice names. With a cache of your own, the usage is still there."
    }
    NotVerified "not-verified" {
        "Not every request that proves the protection could be sent from this machine."
        "The stack is deployed, and a later `up` verifies it."
        "Run `threescale-gw verify` from a machine that reaches the API."
    }
    SelfTestWarning "self-test-warning" {
        "The self-test of the authorizer succeeded, and found something that can lead to failures or lost usage."
        "Nothing is wrong yet."
        "Do what the notice says, for example change the eviction policy of Redis."
    }
    MethodsOpen "methods-open" {
        "After a rollback, the stage serves methods or routes without authorization."
        "Everyone can call them."
        "Run `threescale-gw up` as soon as the reason for the rollback is removed."
    }
    AutomaticDeploymentOff "automatic-deployment-off" {
        "A rollback, or a run that failed or was interrupted, has left automatic deployment of a stage off."
        "Callers get what the stage serves now. API Gateway deploys no change of the API to it."
        "Run `threescale-gw up` or `threescale-gw down`, which turn it on again."
    }
    RunInProgress "run-in-progress" {
        "Another run changes the stack while this one rolls it back."
        "It may publish again what was rolled back."
        "End the other run, or wait for its end, and run `threescale-gw rollback` again."
    }
    StillObserves "still-observes" {
        "The previous version of a function observes, and the stage refuses requests without a key: `rollback` does not make it live."
        "The function keeps its present version."
        "Run `threescale-gw up` with the configuration that you want."
    }
    StageStillAsks "stage-still-asks" {
        "A stage could not be moved back, and the previous version of a function does not read the credentials that the stage asks for."
        "The function keeps its present version. With the previous one, every caller of the stage would be refused."
        "Remove what kept the stage from being moved, and run `threescale-gw rollback` again."
    }
    RouteNotRecorded "route-not-recorded" {
        "The route table that a subnet of yours had before the stack is not recorded."
        "`down` associates the subnet with the main route table of the VPC."
        "After `down`, associate the subnet with its own route table if it had one."
    }
    StateUnknown "state-unknown" {
        "AWS reports a state of a resource that this version does not know."
        "The run waits until the state ends, or until its time limit."
        "Install a newer version of threescale-gw if the state does not end."
    }
    StackRemains "stack-remains" {
        "A run ended before it was complete."
        "The resources that exist remain, and cost money."
        "Run the same command again, or remove the stack with `threescale-gw down`."
    }
    NothingLogged "nothing-logged" {
        "The functions have logged nothing in the time that was asked for."
        "There is nothing to show."
        "Give a longer time with --since."
    }
    NotSettled "not-settled" {
        "What is exported differs from the configuration, is incomplete, or is being changed by another run."
        "The export has the stack as it is now."
        "Run `threescale-gw up`, and export again."
    }
    SettingIgnored "setting-ignored" {
        "A setting of the configuration has no effect here."
        "The run continues without it."
        "Nothing, if it is meant for another place. Otherwise remove the setting."
    }
}
