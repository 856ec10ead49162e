// What pages do beside htmx.
"use strict";
