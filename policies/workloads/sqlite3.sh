#!/usr/bin/env bash
. "${0%/*}/common.sh" || exit

sql() { run -batch -init /dev/null "$@" 2>/dev/null; }
sql store.db 'create table t(id integer primary key, name text); create index i on t(name);'
sql store.db "with recursive n(x) as (select 1 union all select x + 1 from n where x < 2000)
	insert into t select x, 'name ' || x from n;"
same "the count" 2000 "$(sql store.db 'select count(*) from t')"
enough
sql store.db "begin; update t set name = 'other' where id % 3 = 0; rollback; begin; delete from t where id > 1500; commit;"
sql -json store.db 'select * from t order by name desc limit 20' >/dev/null
sql store.db .dump >dump.sql
sql copy.db <dump.sql
same "the copy's count" 1500 "$(sql copy.db 'select count(*) from t')"
sql copy.db 'vacuum; pragma integrity_check;' >/dev/null
sql copy.db 'pragma journal_mode=wal; insert into t(name) values (1); select max(id) from t;' >/dev/null
sql -readonly store.db 'select 1' >/dev/null
sql :memory: 'create table m(x); insert into m values (randomblob(100000)); select length(x) from m' >/dev/null
sql store.db '.backup saved.db' '.tables' >/dev/null
sql store.db '.output listed' 'select * from t;'
fails 1 -batch -init /dev/null store.db 'select * from missing'
fails 8 -batch -init /dev/null -readonly store.db 'delete from t'
fails 1 -nonsense
