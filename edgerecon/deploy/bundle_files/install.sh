#!/bin/sh
# Installs a bundle of edgerecon and, when asked, a systemd service that streams with it.
#
#   tar -xzf BUNDLE.tar.gz install.sh
#   sh install.sh BUNDLE.tar.gz [--prefix DIR] [--service]
#
# edgerecon itself must be there already (pip install edgerecon). Without --prefix it chooses the folder:
# /opt/edgerecon for root, ~/.local/share/edgerecon for everyone else.
set -eu

unit=edgerecon-stream.service

fail() {
    echo "install.sh: $1" >&2
    exit 1
}

bundle='' prefix='' service=no
while [ $# -gt 0 ]; do
    case $1 in
        --prefix) [ $# -ge 2 ] || fail "--prefix needs a folder"; prefix=$2; shift ;;
        --service) service=yes ;;
        -*) fail "unknown option $1: sh install.sh BUNDLE.tar.gz [--prefix DIR] [--service]" ;;
        *) [ -z "$bundle" ] || fail "one bundle at a time"; bundle=$1 ;;
    esac
    shift
done
[ -n "$bundle" ] || fail "name the bundle: sh install.sh BUNDLE.tar.gz [--prefix DIR] [--service]"
edgerecon=$(command -v edgerecon) || fail "edgerecon is not installed: run  pip install edgerecon"

if [ $service = yes ]; then
    prefix=${prefix:-/opt/edgerecon}
    [ "$(id -u)" = 0 ] || fail "--service needs root: run it with sudo"
    command -v systemctl >/dev/null || fail "--service needs systemd"
    edgerecon=$(readlink -f "$edgerecon")
    prefix=$(readlink -m "$prefix")
    case $edgerecon$prefix in
        *[!A-Za-z0-9/._-]*) fail "--service needs paths of letters, digits, '.', '_' and '-'" ;;
    esac
    case $edgerecon in
        /home/*|/root/*) fail "the service cannot read $edgerecon: install edgerecon outside home folders, as in /opt" ;;
    esac
fi

if [ -n "$prefix" ]; then
    "$edgerecon" install "$bundle" --prefix "$prefix"
else
    "$edgerecon" install "$bundle"
fi

if [ $service = yes ]; then
    target=/etc/systemd/system/$unit
    sed -e "s|@EDGERECON@|$edgerecon|g" -e "s|@PREFIX@|$prefix|g" "$prefix/current/$unit" >"$target.partial"
    chmod 644 "$target.partial"
    mv "$target.partial" "$target"
    systemctl daemon-reload
    systemctl enable "$unit"
    systemctl restart "$unit"
    echo "Running: systemctl status $unit. Source and options: /etc/edgerecon/stream.env"
fi
