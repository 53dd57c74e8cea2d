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
	d, cacheControl := newDocument("application/json", openapi.Document(h.Issuer, issuerPath)), cacheFor(metadataMaxAge)
	issuer.GET("/openapi.json", func(c *gin.Context) { d.answer(c, cacheControl) })
}
