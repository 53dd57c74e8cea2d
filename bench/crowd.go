package main

import (
	"context"
	"database/sql"
	"fmt"
	"net/url"
	"time"
)

// crowd fills SQLite's database with sessions that the callers don't use, two for each user,
// as for a telephone and a computer.
func (r *runner) crowd(ctx context.Context) error {
	if r.sessions == 0 {
		return nil
	}
	s, err := r.env.start(r.sqlite()) // makes the schema and the clients
	if err != nil {
		return err
	}
	s.stop()
	db, err := sql.Open("sqlite", sqliteDSN(r.databaseFile(), url.Values{"_pragma": {"synchronous(off)", "cache_size(-3000000)"}}))
	if err != nil {
		return err
	}
	defer db.Close()
	db.SetMaxOpenConns(1)
	began := time.Now()
	users, now := (r.sessions+1)/2, began.UnixMilli()
	if err := rows(ctx, db, users, `INSERT INTO users (id, username, roles, password_hash, epoch, created_at, updated_at)
		SELECT unhex(printf('%032x', seq)), concat('one of a crowd ', seq), '[]', '$argon2id$', 0, ?1, ?1 FROM n`, now); err != nil {
		return err
	}
	if err := rows(ctx, db, r.sessions, `INSERT INTO sessions (id, user_id, client_id, scopes, counter, rotations, auth_time,
			created_at, last_used_at, expires_at, absolute_expires_at, epoch)
		SELECT unhex(printf('%032x', seq)), unhex(printf('%032x', 1 + seq * 7919 % ?2)), 'spa', 'openid profile email', 8, zeroblob(64), ?1,
			?1, ?1, ?1 + 86400000 + seq * 7919 % 1000003, ?1 + 864000000, 0 FROM n`, now, users); err != nil {
		return err
	}
	r.say("%d sessions of other users: made in %s", r.sessions, time.Since(began).Round(time.Second))
	return nil
}

// rows runs an INSERT that selects from n, the numbers to most, some at a time.
func rows(ctx context.Context, db *sql.DB, most int, insert string, args ...any) error {
	const atOnce = 500_000
	for from := 1; from <= most; from += atOnce {
		series := fmt.Sprintf(`WITH RECURSIVE n(seq) AS (SELECT %d UNION ALL SELECT seq + 1 FROM n WHERE seq < %d) `, from, min(most, from+atOnce-1))
		if _, err := db.ExecContext(ctx, series+insert, args...); err != nil {
			return fmt.Errorf("make other sessions: %w", err)
		}
	}
	return nil
}
