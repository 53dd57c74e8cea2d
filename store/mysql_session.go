package store

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/go-sql-driver/mysql"
)

// A sessionSetting is a variable of a database session that the store's promises rest on,
// so that the store sets it and neither the server's defaults nor the URL decide.
type sessionSetting struct {
	name  string
	value string // as SQL has it
	// fine lists more values with which the promises hold; the store leaves those alone.
	fine []string
	// guarded says that some servers let only administrators set it, so that the store
	// sets it only where it must.
	guarded bool
	// logged says that it matters only on a server with a binary log.
	logged bool
	// long replaces value on a connection whose statements may take long.
	long string
}

// sessionSettings are set in this order. A server has some of them under one of two names.
var sessionSettings = []sessionSetting{
	// Each statement outside of a transaction commits, and a commit begins no other
	// transaction. Otherwise nothing that is acknowledged is written.
	{name: "autocommit", value: "'ON'"},
	{name: "completion_type", value: "'NO_CHAIN'"},
	{name: "transaction_read_only", value: "'OFF'"},
	{name: "tx_read_only", value: "'OFF'"},
	// One statement decides races, without locks on gaps.
	{name: "transaction_isolation", value: "'READ-COMMITTED'"},
	{name: "tx_isolation", value: "'READ-COMMITTED'"},
	// Constraints hold.
	{name: "foreign_key_checks", value: "'ON'"},
	{name: "unique_checks", value: "'ON'"},
	{name: "check_constraint_checks", value: "'ON'"},
	{name: "default_storage_engine", value: "'InnoDB'"}, // of the migration library's tables
	// Values are stored as they are or refused, and texts and quotes mean what they mean
	// in the queries; the driver quotes by backslashes.
	{name: "sql_mode", value: "'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION'"},
	{name: "character_set_client", value: "'utf8mb4'"},
	{name: "character_set_results", value: "'utf8mb4'"},
	{name: "collation_connection", value: "'utf8mb4_bin'"},
	{name: "time_zone", value: "'+00:00'"},
	{name: "sql_auto_is_null", value: "'OFF'"},
	// A statement does all that it says.
	{name: "sql_safe_updates", value: "'OFF'"},
	{name: "sql_select_limit", value: "18446744073709551615"},
	{name: "sql_big_selects", value: "'ON'"},
	{name: "max_sort_length", value: "1024"},
	// The time limits are ours; a wait for a lock is shorter than readTimeout.
	{name: "innodb_lock_wait_timeout", value: "5"},
	{name: "lock_wait_timeout", value: "5", long: "60"},
	{name: "max_statement_time", value: "0"},
	{name: "max_execution_time", value: "0"},
	// Replicas get every change. InnoDB doesn't log statements at our isolation level.
	{name: "sql_log_bin", value: "'ON'", guarded: true, logged: true},
	{name: "binlog_format", value: "'ROW'", fine: []string{"MIXED"}, guarded: true, logged: true},
}

// isSessionSetting reports whether the store sets a variable.
func isSessionSetting(name string) bool {
	return slices.ContainsFunc(sessionSettings, func(s sessionSetting) bool { return s.name == name })
}

// A ChangedSetting is a setting of a database server that the store replaces, for its own
// connections, by the one that its promises rest on.
type ChangedSetting struct{ Name, Server, Ours string }

// showSettings asks for the session's variables that prepare decides by.
var showSettings = func() string {
	names := []string{"'read_only'", "'wsrep_on'", "'log_bin'"}
	for _, s := range sessionSettings {
		names = append(names, "'"+s.name+"'")
	}
	return `SHOW VARIABLES WHERE Variable_name IN (` + strings.Join(names, ", ") + `)`
}()

// settings returns the session's variables that prepare decides by.
func (c *mysqlConn) settings(ctx context.Context) (map[string]string, error) {
	// These two may keep the server from showing the others.
	limits, err := c.pairs(ctx, `SELECT 'sql_select_limit', @@sql_select_limit UNION ALL SELECT 'sql_big_selects', @@sql_big_selects LIMIT 2`)
	if err != nil {
		return nil, err
	}
	if _, changed := ours(limits, false); len(changed) > 0 {
		_, err := c.ExecContext(ctx, `SET SESSION sql_select_limit = 18446744073709551615, SESSION sql_big_selects = 1`, nil)
		if err != nil {
			return nil, err
		}
	}
	found, err := c.pairs(ctx, showSettings)
	if err != nil {
		return nil, err
	}
	maps.Copy(found, limits)
	return found, nil
}

// ours returns the assignments that give a session with these variables our settings, and
// those of them that change something.
func ours(variables map[string]string, long bool) (all []string, changed []ChangedSetting) {
	for _, s := range sessionSettings {
		is, known := variables[s.name]
		if other := strings.Replace(s.name, "tx_", "transaction_", 1); other != s.name && variables[other] != "" {
			continue // MariaDB's later versions have both names
		}
		if !known || s.logged && !isOn(variables["log_bin"]) || slices.Contains(s.fine, is) {
			continue
		}
		if long && s.long != "" {
			s.value = s.long
		}
		want := strings.Trim(s.value, "'")
		differs := !sameValue(is, want)
		if differs {
			changed = append(changed, ChangedSetting{Name: s.name, Server: is, Ours: want})
		}
		if differs || !s.guarded { // a proxy may change the server behind it, and repeats what it hears
			all = append(all, s.name+" = "+s.value)
		}
	}
	return all, changed
}

func sameValue(a, b string) bool {
	if isOn(a) && isOn(b) || isOff(a) && isOff(b) {
		return true
	}
	x, err1 := strconv.ParseFloat(a, 64)
	y, err2 := strconv.ParseFloat(b, 64)
	return strings.EqualFold(a, b) || err1 == nil && err2 == nil && x == y
}

// setOurs gives a session our settings. Where the server refuses one that has our value
// already, that is no error.
func (c *mysqlConn) setOurs(ctx context.Context, variables map[string]string, long bool) ([]ChangedSetting, error) {
	all, changed := ours(variables, long)
	_, err := c.ExecContext(ctx, "SET SESSION "+strings.Join(all, ", SESSION "), nil)
	if _, refused := errors.AsType[*mysql.MySQLError](err); err == nil || !refused {
		return changed, err
	}
	for _, assignment := range all {
		name, value, _ := strings.Cut(assignment, " = ")
		_, err := c.ExecContext(ctx, "SET SESSION "+assignment, nil)
		if err != nil && !sameValue(variables[name], strings.Trim(value, "'")) {
			return nil, fmt.Errorf("the server's %s is %q and must be %s, which it doesn't let us set: change it there, or let this user set it: %w",
				name, variables[name], value, err)
		}
	}
	return changed, nil
}
