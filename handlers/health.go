package handlers

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"

	"countersign/refusals"
)

// Health serves GET /healthz and /readyz.
type Health struct {
	// Ready returns why the server can't serve, or nil.
	Ready func(context.Context) error
	Log   *slog.Logger
}

// Mount adds the endpoints' routes.
func (h *Health) Mount(r gin.IRouter) {
	for _, method := range []string{http.MethodGet, http.MethodHead} {
		r.Handle(method, "/healthz", h.alive)
		r.Handle(method, "/readyz", h.ready)
	}
}

type healthResponse struct {
	Status string `json:"status"`
}

func (h *Health) alive(c *gin.Context) {
	neverCache(c)
	writeJSON(c, http.StatusOK, "application/json", healthResponse{"ok"})
}

func (h *Health) ready(c *gin.Context) {
	ctx, cancel := context.WithTimeout(c.Request.Context(), 2*time.Second)
	defer cancel()
	if err := h.Ready(ctx); err != nil {
		h.Log.WarnContext(ctx, "not ready", "request_id", RequestID(c), "err", err)
		WriteProblem(c, refusals.UnavailableProblem)
		return
	}
	neverCache(c)
	writeJSON(c, http.StatusOK, "application/json", healthResponse{"ready"})
}
