package store

import "database/sql"

// Pools are the connections for changes and those for everything else.
func (db *DB) Pools() map[string]*sql.DB {
	return map[string]*sql.DB{"write": db.write, "read": db.read}
}
