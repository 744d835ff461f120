#!/bin/sh
# Starts nats-server with its secrets: nats.conf takes every value from the environment, a container gets
# secrets as files.
#
#     nats.sh FOLDER_OF_SECRETS CONFIGURATION
set -eu

for file in "$1"/nats-*; do
    user=${file##*/nats-}
    name=$(printf '%s' "$user" | tr 'abcdefghijklmnopqrstuvwxyz-' 'ABCDEFGHIJKLMNOPQRSTUVWXYZ_')
    export "ROWCAST_NATS_PASSWORD_$name=$(cat "$file")"
done
ROWCAST_NATS_CALLOUT_ISSUER=$(cat "$1/callout-issuer")
export ROWCAST_NATS_CALLOUT_ISSUER
exec nats-server -c "$2"
