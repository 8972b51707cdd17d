#!/usr/bin/env bash
# Plans an export with Terraform: every resource is taken over, and none is changed.
#
#   tests/terraform.sh                 says whether Terraform and its AWS provider are installed; exits with 3 if not
#   tests/terraform.sh plan FOLDER     plans the export in the folder
#   tests/terraform.sh apply FOLDER    the same, takes the resources over, and plans once more
#
# AWS_ENDPOINT_URL names the test AWS. The provider comes from TF_PLUGIN_DIR, or from the first folder for plugins that has it:
# nothing is downloaded.
set -euo pipefail

name=registry.terraform.io/hashicorp/aws
# The folders that Terraform searches by itself, and those below /opt.
places=("${TF_PLUGIN_DIR:-}" "${TF_PLUGIN_CACHE_DIR:-}" "$HOME/.terraform.d/plugins"
    "${XDG_DATA_HOME:-$HOME/.local/share}/terraform/plugins" /usr/local/share/terraform/plugins /usr/share/terraform/plugins
    /opt/*)

skip() {
    echo "Terraform does not plan the exports here: $1" >&2
    exit 3
}

command -v terraform >/dev/null || skip "terraform is not on the path"
plugins=
for place in "${places[@]}"; do
    if [ -n "$place" ] && compgen -G "$place/$name/5.*" >/dev/null; then
        plugins=$place
        break
    fi
done
[ -n "$plugins" ] || skip "no folder for plugins has $name 5; TF_PLUGIN_DIR names one"

# A configuration of the user could name another place for the provider.
export TF_CLI_CONFIG_FILE=/dev/null TF_IN_AUTOMATION=1 CHECKPOINT_DISABLE=1
if [ $# -eq 0 ]; then
    echo "Terraform plans the exports: $(terraform version | sed -n 1p), the provider of $plugins"
    exit 0
fi

cd "$2"
quietly() {
    "$@" >run.log 2>&1 || { cat run.log >&2; exit 1; }
}
terraform fmt -check -diff || exit 1
quietly terraform init -no-color -input=false -plugin-dir="$plugins"
quietly terraform plan -no-color -input=false -out=plan.bin
count=$(grep -c '^import {' imports.tf)
if ! grep -qx "Plan: $count to import, 0 to add, 0 to change, 0 to destroy." run.log; then
    cat run.log >&2
    exit 1
fi
if [ "$1" = apply ]; then
    quietly terraform apply -no-color -input=false plan.bin
    # A plan with changes exits with 2.
    quietly terraform plan -no-color -input=false -detailed-exitcode
fi
