package store

import (
	"errors"
	"io"
	"net"
	"slices"

	"github.com/go-sql-driver/mysql"
)

// The error numbers that the store acts on. MariaDB, TiDB and others with the protocol
// use MySQL's and add their own.
var (
	mysqlDuplicate = []uint16{1062}       // ER_DUP_ENTRY
	mysqlForeign   = []uint16{1216, 1452} // ER_NO_REFERENCED_ROW, ER_NO_REFERENCED_ROW_2

	// The server rolled back the statement or the transaction, at the commit at the
	// latest.
	mysqlConflict = []uint16{
		1205, // ER_LOCK_WAIT_TIMEOUT: the statement; we roll back the rest
		1213, // ER_LOCK_DEADLOCK; in a Galera cluster also a conflict with another node
		1020, // ER_CHECKREAD: MariaDB 11.6 and later, where another transaction changed the row
		3101, // ER_TRANSACTION_ROLLBACK_DURING_COMMIT: conflict in group replication
		3572, // ER_LOCK_NOWAIT
		8022, // TiDB: commit failed, rolled back
		9007, // TiDB: write conflict
	}

	// The host can't serve now, and has done nothing.
	mysqlUnfit = []uint16{
		1047, // ER_UNKNOWN_COM_ERROR: a Galera node outside of its cluster
		1053, // ER_SERVER_SHUTDOWN
		1290, // ER_OPTION_PREVENTS_STATEMENT: read-only
		1792, // ER_CANT_EXECUTE_IN_READ_ONLY_TRANSACTION
		1836, // ER_READ_ONLY_MODE
	}

	// The connection ended, or the server is too busy for another one.
	mysqlGone = []uint16{
		1040,                   // ER_CON_COUNT_ERROR
		1158, 1159, 1160, 1161, // ER_NET_...
		1203,             // ER_TOO_MANY_USER_CONNECTIONS
		1226,             // ER_USER_LIMIT_REACHED
		1317,             // ER_QUERY_INTERRUPTED: killed
		1927,             // ER_CONNECTION_KILLED
		3024,             // ER_QUERY_TIMEOUT
		3169,             // ER_SESSION_WAS_KILLED
		4031,             // ER_CLIENT_INTERACTION_TIMEOUT: idle for too long
		8027,             // TiDB: schema too old on this node
		9001, 9002, 9005, // TiDB: PD or TiKV timeout, region unavailable
	}

	// The tables have other names while the database is being moved.
	mysqlMoved = []uint16{1146} // ER_NO_SUCH_TABLE

	// The disk or the engine's storage on it is full or failing.
	mysqlFailing = []uint16{1021, 1030, 1114, 1180, 1181} // ER_DISK_FULL, ER_GET_ERRNO, ER_RECORD_FILE_FULL, ER_ERROR_DURING_COMMIT, ..._ROLLBACK
)

func isMySQLCode(codes ...[]uint16) func(error) bool {
	all := slices.Concat(codes...)
	return func(err error) bool {
		e, ok := errors.AsType[*mysql.MySQLError](err)
		return ok && slices.Contains(all, e.Number)
	}
}

// isMySQLLost reports whether the connection or the host behind it failed.
func isMySQLLost(err error) bool {
	if errors.Is(err, mysql.ErrInvalidConn) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) ||
		errors.Is(err, mysql.ErrMalformPkt) || errors.Is(err, mysql.ErrPktSync) || errors.Is(err, errNoHost) {
		return true
	}
	if _, ok := errors.AsType[net.Error](err); ok {
		return true
	}
	return isMySQLCode(mysqlUnfit, mysqlGone)(err)
}

// isMySQLAway reports whether the same request may succeed later.
func isMySQLAway(err error) bool {
	return isMySQLLost(err) || isMySQLCode(mysqlConflict, mysqlMoved, mysqlFailing)(err)
}
