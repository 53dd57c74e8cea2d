package handlers

import (
	"github.com/gin-gonic/gin"

	"countersign/openapi"
)

// OpenAPI serves GET /openapi.json, the description of this interface.
type OpenAPI struct {
	Issuer string
}

// Mount adds the endpoint's routes below the issuer's path.
func (h *OpenAPI) Mount(issuer gin.IRouter, issuerPath string) {
	body := openapi.Document(h.Issuer, issuerPath)
	etag := etagOf(body)
	answer := func(c *gin.Context) { writeCacheable(c, body, etag, "application/json", metadataMaxAge) }
	issuer.GET("/openapi.json", answer)
}
