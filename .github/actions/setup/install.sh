#!/usr/bin/env bash
# Installs a release of threescale-gw for the next steps of a job: the release VERSION of REPOSITORY.
set -euo pipefail

fail() {
    echo "::error::threescale-gw: $1"
    exit 1
}

version=${VERSION#v}
[[ $version =~ ^[0-9]+\.[0-9]+\.[0-9]+[0-9A-Za-z.-]*$ ]] ||
    fail "\`$VERSION\` is not a release: use the action with its tag, or give \`version\`, for example 0.1.0"
case "$(uname -s) $(uname -m)" in
    "Linux x86_64") target=x86_64-unknown-linux-gnu ;;
    "Linux aarch64") target=aarch64-unknown-linux-gnu ;;
    *) fail "there is no release for $(uname -s) on $(uname -m)" ;;
esac

name=threescale-gw-$target
folder=$RUNNER_TOOL_CACHE/threescale-gw/$version/$target
if [ ! -x "$folder/threescale-gw" ]; then
    files=$(mktemp -d "$RUNNER_TEMP/threescale-gw.XXXXXX")
    for file in "$name.tar.gz" "$name.tar.gz.sha256"; do
        url=$GITHUB_SERVER_URL/$REPOSITORY/releases/download/v$version/$file
        curl --fail --silent --show-error --location --retry 3 --output "$files/$file" "$url" ||
            fail "cannot download $url"
    done
    (cd "$files" && sha256sum --check --strict --quiet "$name.tar.gz.sha256") ||
        fail "$name.tar.gz does not have the SHA-256 of its release"
    tar -xf "$files/$name.tar.gz" -C "$files"
    mkdir -p "$(dirname "$folder")"
    rm -rf "$folder"
    mv "$files/$name" "$folder"
    rm -rf "$files"
fi
echo "$folder" >>"$GITHUB_PATH"
"$folder/threescale-gw" version
