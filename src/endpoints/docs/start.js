// Shows the document that lies beside this file. All addresses are relative, so that the page works under any prefix, by an
// alias, and behind a proxy that puts it under a path of its own.
"use strict";

// The gateway may be open under another of its names than its public one: calls go where the page came from, as nothing
// else may be called from here.
const fromHere = () => ({
  statePlugins: {
    spec: {
      wrapActions: {
        updateJsonSpec: (update) => (document) => update({ ...document, servers: [{ url: window.location.origin }] }),
      },
    },
    auth: {
      wrapActions: {
        // Without a client's id, none is sent: not an empty one.
        authorizePassword: (authorize) => (form) => authorize(form.clientId ? form : { ...form, passwordType: "request-body" }),
      },
    },
  },
});

window.ui = window.SwaggerUIBundle({
  url: new URL("openapi.json", document.currentScript.src).href,
  dom_id: "#swagger-ui",
  presets: [window.SwaggerUIBundle.presets.apis],
  plugins: [fromHere],
  layout: "BaseLayout",
  deepLinking: true,
  persistAuthorization: false,
  validatorUrl: null,
});
