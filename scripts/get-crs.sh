#!/usr/bin/env bash
# Fetches the OWASP Core Rule Set, the release that Tidegate is tested with:
#
#   scripts/get-crs.sh [--url URL] [--sha256 HEX] DIRECTORY
#
# DIRECTORY gets the rules, crs-setup.conf.example and their licence; it must not exist yet. It gets
# those files alone that scripts/waf/crs-4.28.0.sha256 has, with those SHA-256: the
# ones that the tests of Tidegate run with. If one is missing or another, it gets none.
# With --sha256 the archive must have that SHA-256 as well. CRS signs each archive
# (the same address, and .asc; the key is https://coreruleset.org/security.asc,
# fingerprint 3600 6F0E 0BA1 6783 2158 8211 38EE ACA1 AB8A 6E72).
#
# The address is that of the release, or --url, or TIDEGATE_CRS_URL: a mirror of yours.
set -euo pipefail

VERSION=4.28.0
SUMS=$(cd "$(dirname "$0")" && pwd)/waf/crs-$VERSION.sha256
RELEASES=https://github.com/coreruleset/coreruleset/releases/download

# The archive has less than one; nobody shall fill the disk or keep us waiting.
MOST_BYTES=20000000
MOST_SECONDS=300

help() { sed -n '2,14s/^# \{0,1\}//p' "$0"; }

fail() {
  printf 'get-crs: %s\n' "$*" >&2
  exit 1
}

misused() {
  printf 'get-crs: %s; see --help\n' "$*" >&2
  exit 2
}

url=${TIDEGATE_CRS_URL:-$RELEASES/v$VERSION/coreruleset-$VERSION-minimal.tar.gz}
sha256=
directory=
while [ $# -gt 0 ]; do
  case "$1" in
    -h | --help)
      help
      exit 0
      ;;
    --sha256 | --url)
      [ $# -gt 1 ] || misused "$1 needs a value"
      if [ "$1" = --url ]; then url=$2; else sha256=$2; fi
      shift
      ;;
    -*) misused "there is no option $1" ;;
    *)
      [ -z "$directory" ] || misused "one directory, not $directory and $1"
      directory=$1
      ;;
  esac
  shift
done
[ -n "$directory" ] || misused "a directory must be given"
sha256=${sha256,,}
[[ $sha256 =~ ^([0-9a-f]{64})?$ ]] || misused "--sha256 needs the 64 digits of the archive's SHA-256"
for program in curl sha256sum tar gzip; do
  command -v "$program" >/dev/null 2>&1 || fail "$program is missing"
done
if [ -e "$directory" ] || [ -L "$directory" ]; then
  fail "$directory exists already; rules of yours may be in it, so nothing is overwritten"
fi

# Beside its place, so that it is moved there whole or not at all.
parent=$(dirname -- "$directory")
[ -d "$parent" ] || fail "there is no directory $parent"
work=$(mktemp -d -- "$parent/.get-crs.XXXXXX")
trap 'rm -rf -- "$work"' EXIT

archive=$work/archive.tar.gz
curl --fail --silent --show-error --location --proto '=https,http' --proto-redir '=https' \
  --max-filesize "$MOST_BYTES" --max-time "$MOST_SECONDS" --output "$archive" -- "$url" ||
  fail "$url could not be fetched"

read -r found _ < <(sha256sum -- "$archive")
[ -z "$sha256" ] || [ "$found" = "$sha256" ] ||
  fail "$url has SHA-256 $found instead of $sha256; nothing was unpacked"

mkdir -- "$work/all" "$work/crs" "$work/crs/rules"
tar --extract --gzip --file "$archive" --directory "$work/all" --strip-components 1 \
  --no-same-owner --no-same-permissions || fail "the archive cannot be unpacked"
# A file that is not listed would be loaded with the others, so it stays behind.
while read -r sum file; do
  if [ ! -f "$work/all/$file" ] || [ -L "$work/all/$file" ]; then
    fail "the archive has no $file; is it CRS $VERSION?"
  fi
  read -r found _ < <(sha256sum -- "$work/all/$file")
  [ "$found" = "$sum" ] || fail "$file is not that of CRS $VERSION: its SHA-256 is $found, not $sum"
  mv -- "$work/all/$file" "$work/crs/$file"
done < "$SUMS"
mv --no-target-directory --no-clobber -- "$work/crs" "$directory"
[ ! -e "$work/crs" ] || fail "$directory appeared meanwhile; nothing was overwritten"
printf 'CRS is in %s; its settings are in crs-setup.conf.example\n' "$directory"
