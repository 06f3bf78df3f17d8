#!/bin/sh
# Installs what the bench compares with: Debian's FreeRADIUS and PostgreSQL, and what radload is built with.
# It changes this system, so it is a command of its own and `make bench` never calls it; it needs root.
set -eu
packages="freeradius freeradius-postgresql freeradius-config postgresql postgresql-client gcc make libssl-dev"
missing=
for package in $packages; do
	dpkg -s "$package" >/dev/null 2>&1 || missing="$missing $package"
done
if [ -z "$missing" ]; then
	echo "Nothing to install: the bench has all it needs."
	exit 0
fi
if [ "$(id -u)" != 0 ]; then
	echo "Missing:$missing. Run this as root, or: apt-get install --no-install-recommends$missing" >&2
	exit 1
fi
echo "Installing:$missing"
DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends $missing
echo "Debian starts freeradius and postgresql as services of their own; the bench needs neither:"
echo "  systemctl disable --now freeradius postgresql"
