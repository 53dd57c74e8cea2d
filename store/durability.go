package store

import (
	"context"
	"fmt"
	"strings"
)

// Weaknesses lists the database server's settings that break the store's promise of
// durability: one sentence for each, with the value it should have.
func (db *DB) Weaknesses(ctx context.Context) ([]string, error) {
	if db.dialect.variables == "" {
		return nil, nil
	}
	type variable struct{ name, value string }
	all, err := all(ctx, db, func(row scanner) (v variable, err error) {
		err = row.Scan(&v.name, &v.value)
		return v, err
	}, db.dialect.variables)
	if err != nil {
		return nil, err
	}
	is := map[string]string{}
	for _, v := range all {
		is[v.name] = v.value
	}
	var found []string
	cluster := isOn(is["wsrep_on"]) // the other nodes have what one loses
	if v, ok := is["innodb_flush_log_at_trx_commit"]; ok && v != "1" && !cluster {
		found = append(found, fmt.Sprintf("innodb_flush_log_at_trx_commit is %s: a power cut may lose what was acknowledged; set it to 1", v))
	}
	if v, ok := is["innodb_doublewrite"]; ok && (v == "OFF" || v == "0") {
		found = append(found, fmt.Sprintf("innodb_doublewrite is %s: a power cut may leave torn pages; turn it on unless the file system writes them whole", v))
	}
	if v := is["innodb_flush_method"]; strings.EqualFold(v, "nosync") && !cluster {
		found = append(found, "innodb_flush_method is nosync: a power cut may lose what was acknowledged; set it to O_DIRECT or fsync")
	}
	if isOn(is["debug_no_sync"]) && !cluster {
		found = append(found, "debug_no_sync is ON: a power cut may lose what was acknowledged; turn it off")
	}
	if v, ok := is["sync_binlog"]; ok && v != "1" && isOn(is["log_bin"]) && !cluster {
		found = append(found, fmt.Sprintf("sync_binlog is %s: after a power cut a replica, also one that takes over, may lack what was acknowledged; set it to 1", v))
	}
	return found, nil
}
