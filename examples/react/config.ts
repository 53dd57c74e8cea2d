// Where the servers are: Countersign's issuer, and the origin of your API.

export const server = "http://localhost:8080";
export const api = "http://localhost:8081";
