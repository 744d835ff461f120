"use strict";

window.ui = SwaggerUIBundle({
  url: document.body.dataset.description,
  dom_id: "#reference",
  deepLinking: true,
  displayRequestDuration: true,
  docExpansion: "list",
  defaultModelsExpandDepth: 0,
  filter: true,
  tryItOutEnabled: true,
  // The token is for this page only.
  persistAuthorization: false,
  // Otherwise the description would be shown to a public service.
  validatorUrl: null,
  presets: [SwaggerUIBundle.presets.apis],
});
