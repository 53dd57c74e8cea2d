package server

import "github.com/gin-gonic/gin"

// router mounts each GET route for HEAD, too (RFC 9110 section 9.3.2), so that no handler
// can forget it. net/http leaves out the body. A Group of it is a plain gin one.
type router struct{ gin.IRouter }

func (r router) GET(path string, handle ...gin.HandlerFunc) gin.IRoutes {
	r.IRouter.HEAD(path, handle...)
	return r.IRouter.GET(path, handle...)
}
