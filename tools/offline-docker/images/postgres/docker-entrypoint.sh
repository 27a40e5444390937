#!/usr/bin/env bash
# Does what the documentation of the official image promises: a database is made at the first start, as the POSTGRES_*
# variables and /docker-entrypoint-initdb.d say; then the server runs as the user postgres.
set -euo pipefail

[[ ${1:-} != -* ]] || set -- postgres "$@"
[[ ${1:-} == postgres && " $* " != *" --version "* && " $* " != *" --help "* ]] || exec "$@"

# Read while we may still be root: a secret's file need not be readable for postgres.
for name in POSTGRES_PASSWORD POSTGRES_USER POSTGRES_DB POSTGRES_INITDB_ARGS; do
  file=${name}_FILE
  [[ -n ${!file:-} ]] || continue
  [[ -z ${!name:-} ]] || { echo "both $name and $file are set: set one" >&2; exit 1; }
  printf -v "$name" %s "$(<"${!file}")"
  export "${name?}"
  unset "$file"
done

if [[ $EUID == 0 ]]; then
  mkdir -p "$PGDATA"
  find "$PGDATA" ! -user postgres -exec chown postgres {} +
  HOME=/var/lib/postgresql exec setpriv --reuid=postgres --regid=postgres --init-groups "$0" "$@"
fi

run_script() {
  echo "run $1"
  case $1 in
    *.sh) if [[ -x $1 ]]; then "$1"; else . "$1"; fi ;;
    *.sql) psql --file="$1" ;;
    *.sql.gz) gunzip --stdout "$1" | psql ;;
    *) echo "not a script: left alone" ;;
  esac
}

initialise() {
  local method=${POSTGRES_HOST_AUTH_METHOD:-scram-sha-256} script
  # The scripts know these two, and connect without saying where and as whom.
  export POSTGRES_USER=${POSTGRES_USER:-postgres}
  export POSTGRES_DB=${POSTGRES_DB:-$POSTGRES_USER}
  export PGUSER=$POSTGRES_USER PGDATABASE=$POSTGRES_DB
  if [[ -z ${POSTGRES_PASSWORD:-} && $method != trust ]]; then
    echo "the database is new and has no superuser's password: set POSTGRES_PASSWORD or POSTGRES_PASSWORD_FILE" >&2
    return 1
  fi
  # shellcheck disable=SC2086 # several options in one variable, as documented
  initdb --username="$POSTGRES_USER" --pwfile=<(printf '%s\n' "${POSTGRES_PASSWORD:-none}") ${POSTGRES_INITDB_ARGS:-}
  echo "host all all all $method" >>"$PGDATA/pg_hba.conf"

  # On its socket only, so that nobody outside takes this server for the finished one.
  pg_ctl start --wait --silent --options="$(printf '%q ' "$@" -c listen_addresses=)"
  [[ $PGDATABASE == postgres ]] || createdb --maintenance-db=postgres "$PGDATABASE"
  psql() { command psql --no-psqlrc --quiet --set=ON_ERROR_STOP=1 "$@"; }
  for script in /docker-entrypoint-initdb.d/*; do
    [[ ! -f $script ]] || run_script "$script"
  done
  pg_ctl stop --wait --silent --mode=fast
}

# In a subshell: its variables are not the server's.
[[ -s $PGDATA/PG_VERSION ]] || (initialise "${@:2}")
exec "$@"
