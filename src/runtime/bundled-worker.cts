/** The worker that translates, as one script (tools/build-worker.ts). */
import path = require('node:path');
import bundles = require('./run-bundle.cjs');

bundles.runBundle(path.join(__dirname, '../../translation-worker.js'));
