package mariadb

import (
	"os"
	"path/filepath"
	"strings"
)

// hostile lists settings that break a program which relies on a server's defaults: it loses
// what it acknowledged, or its statements mean something else, touch too much, do too little
// or fail.
var hostile = []string{
	"autocommit = 0", "completion_type = CHAIN", "tx_read_only = 1", "tx_isolation = 'SERIALIZABLE'",
	"foreign_key_checks = 0", "unique_checks = 0", "check_constraint_checks = 0", "default_storage_engine = MyISAM",
	"sql_mode = 'ANSI_QUOTES,NO_BACKSLASH_ESCAPES,PIPES_AS_CONCAT,PAD_CHAR_TO_FULL_LENGTH,IGNORE_SPACE,EMPTY_STRING_IS_NULL,SIMULTANEOUS_ASSIGNMENT'",
	"character_set_client = latin1", "character_set_results = latin1", "collation_connection = latin1_swedish_ci",
	"time_zone = '+09:00'", "sql_auto_is_null = 1", "sql_safe_updates = 1", "sql_select_limit = 1", "max_join_size = 1",
	"max_sort_length = 64", "innodb_lock_wait_timeout = 0", "lock_wait_timeout = 0", "max_statement_time = 1",
}

// StartHostile is Start of a server whose defaults are such that a program must not rely on
// them. They are those of every new session, also root's.
func StartHostile(args ...string) (*Server, error) {
	return start(func(s *Server) error {
		path := filepath.Join(s.folder, "hostile.sql")
		s.args = append(s.args, "--init-file="+path)
		return os.WriteFile(path, []byte("SET GLOBAL "+strings.Join(hostile, ", GLOBAL ")+";\n"), 0o644)
	}, args...)
}
