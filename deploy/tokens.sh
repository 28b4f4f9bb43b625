#!/bin/sh
# /usr/local/bin/tokens: the program as the services run it, for whoever administers them. Needs root.
# PROGRAM is the folder of another version than the services'.
set -eu
[ "$(id -u)" = 0 ] || { echo 'tokens: needs root, try sudo' >&2; exit 1; }
set -a
. /etc/tokens/tokens.env
set +a
umask 077
cd /var/lib/tokens
exec setpriv --reuid tokens --regid tokens --init-groups "${PROGRAM:-/opt/tokens}/.venv/bin/tokens" "$@"
