// Swagger's page of the service; requests show the token that was given on the page at /.
import { shown } from "./token.js";

window.SwaggerUIBundle({
  url: "openapi.json",
  dom_id: "#swagger-ui",
  deepLinking: true,
  validatorUrl: null,
  requestInterceptor: (request) => {
    Object.assign(request.headers, shown());
    return request;
  },
});
