//! Tests of the program against the test AWS and real servers. They are one binary because linking takes longer than
//! most of the tests.
//!
//! The harness starts tests in the order of their names, so the longest tests are in the folders that sort first: first
//! the tests that mostly wait, then the tests that keep the cores busy.

mod all_of_it;
mod all_states;
mod answers;
mod architecture;
mod attachment;

mod cache;
mod cache_change;
mod cache_leave;
mod claims;
mod cli;
mod config;
mod dead;
mod docs;
mod doctor;
mod doors;
mod drift;
mod drift_api;
mod early;
mod endpoints;
mod explain;
mod files;
mod hand_back;
mod import;
mod import_refused;
mod init;
mod interrupt;
mod kms_key;
mod lifecycle;
mod lock;
mod logs;
mod matrix;
mod moves;
mod nat_instance;
mod neighbors;
mod observe;
mod offline;
mod own;
mod own_groups;
mod own_role;
mod own_route;
mod owner;
mod passed_limits;
mod pending;
mod preflight;
mod prove;
mod refusals;
mod replace;
mod required_tags;
mod reshape;
mod responses;
mod rights;
mod rollback;
mod scope;
mod serverless;
mod stacks;
mod stored;
mod support;
mod sweep;
mod terminal;
mod the_test_aws;
mod two_stacks;
mod verify;
mod version;
mod versions;
mod wrong;
