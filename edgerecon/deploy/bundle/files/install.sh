#!/bin/sh
# Installs a bundle of edgerecon, with edgerecon itself and, when asked, a systemd service that streams with it.
#
#   tar -xzf BUNDLE.tar.gz
#   sh $folder/install.sh BUNDLE.tar.gz [--prefix DIR] [--service [--source URI]]
#
# Everything goes into the prefix, by default /opt/edgerecon for root and ~/.local/share/edgerecon for everyone else:
# an environment for each version of edgerecon and of what it needs, and the bundles. PYTHON names the Python to use, by default python3.
set -eu

unit=edgerecon-stream.service
etc=$${DESTDIR:-}/etc
here=$$(cd "$$(dirname "$$0")" && pwd)
use="sh install.sh BUNDLE.tar.gz [--prefix DIR] [--service [--source URI]]"

fail() {
    echo "install.sh: $$1" >&2
    exit 1
}

bundle='' prefix='' service=no source=''
while [ $$# -gt 0 ]; do
    case $$1 in
        --prefix) [ $$# -ge 2 ] || fail "--prefix needs a folder"; prefix=$$2; shift ;;
        --source) [ $$# -ge 2 ] || fail "--source needs an address"; source=$$2; shift ;;
        --service) service=yes ;;
        -*) fail "unknown option $$1: $$use" ;;
        *) [ -z "$$bundle" ] || fail "one bundle at a time"; bundle=$$1 ;;
    esac
    shift
done
[ -n "$$bundle" ] || fail "name the bundle: $$use"
[ -z "$$source" ] || [ $$service = yes ] || fail "--source is of the service: give --service with it"

if [ -z "$$prefix" ]; then
    prefix=/opt/edgerecon
    [ "$$(id -u)" = 0 ] || prefix=$${XDG_DATA_HOME:-$$HOME/.local/share}/edgerecon
fi
mkdir -p "$$prefix" || fail "cannot write $$prefix: choose a folder with --prefix"
prefix=$$(cd "$$prefix" && pwd)
home=$$prefix/$environment

device=''
if [ $$service = yes ]; then
    [ "$$(id -u)" = 0 ] || fail "--service needs root: run it with sudo"
    command -v systemctl >/dev/null || fail "--service needs systemd"
    case $$prefix in
        *[!A-Za-z0-9/._-]*) fail "--service needs a prefix of letters, digits, '.', '_' and '-'" ;;
        /home/*|/root/*) fail "the service cannot read $$prefix: choose a prefix outside home folders, as in /opt" ;;
    esac
    case $$source in
        v4l2:///dev/video*[!0-9]*) device=$${source#v4l2://} device=$${device%%\?*} ;;
        v4l2:///dev/video*) device=$${source#v4l2://} ;;
        v4l2:*) fail "--source is v4l2:///dev/videoN" ;;
    esac
    case $$device in
        ''|/dev/video[0-9]|/dev/video[0-9][0-9]) ;;
        *) fail "--source is v4l2:///dev/videoN" ;;
    esac
fi

python=$${PYTHON:-python3}
found=$$("$$python" -c 'import platform; print(platform.machine(), *platform.python_version_tuple()[:2])' 2>/dev/null) \
    || fail "there is no $$python: install Python $python, or name one with PYTHON=..."
[ "$$found" = "$machine $python_words" ] \
    || fail "this bundle is for $machine with Python $python, and $$python is of: $$found"

if [ ! -x "$$home/bin/edgerecon" ]; then
    "$$python" -m venv $site "$$home" || fail "the venv module is missing: on Debian and Ubuntu  apt install python3-venv"
    count=$$(find "$$here/wheels" -type f | wc -l)
    if [ "$$count" -gt 1 ]; then
        "$$home/bin/python" -m pip install -q --disable-pip-version-check --no-index --find-links "$$here/wheels" \
            --require-hashes -r "$$here/requirements.txt"
    else
        "$$home/bin/python" -m pip install -q --disable-pip-version-check --require-hashes -r "$$here/requirements.txt"
    fi
    "$$home/bin/python" -m pip install -q --disable-pip-version-check --no-index --no-deps "$$here/wheels/$wheel"
fi

"$$home/bin/edgerecon" install "$$bundle" --prefix "$$prefix"

if [ $$service = yes ]; then
    target=$$etc/systemd/system/$$unit
    mkdir -p "$$etc/systemd/system" "$$etc/edgerecon"
    sed -e "s|@EDGERECON@|$$home/bin/edgerecon|g" -e "s|@PREFIX@|$$prefix|g" "$$prefix/current/$$unit" >"$$target.partial"
    chmod 644 "$$target.partial"
    mv "$$target.partial" "$$target"
    rm -f "$$target.d/camera.conf"
    if [ -n "$$device" ] && [ $private_devices = yes ]; then
        mkdir -p "$$target.d"
        printf '%s\n' '[Service]' 'PrivateDevices=no' 'DevicePolicy=closed' "DeviceAllow=$$device rw" \
            'SupplementaryGroups=video' >"$$target.d/camera.conf"
    fi
    if [ -n "$$source" ]; then
        touch "$$etc/edgerecon/stream.env"
        sed -i '/^EDGERECON_SOURCE=/d' "$$etc/edgerecon/stream.env"
        printf 'EDGERECON_SOURCE=%s\n' "$$source" >>"$$etc/edgerecon/stream.env"
    fi
    systemctl daemon-reload
    systemctl enable "$$unit"
    systemctl restart "$$unit"
    echo "Running: systemctl status $$unit. Source and options: /etc/edgerecon/stream.env"
fi
