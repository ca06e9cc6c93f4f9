#!/usr/bin/env node
/** The `lguest` command, as one script if the package has been built, or else module by module (`command.ts`). */
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { isBundleOf } from '../runtime/bundles.js';
import bundles from '../runtime/run-bundle.cjs';

const dist = fileURLToPath(new URL('../..', import.meta.url));
const bundle = join(dist, 'lguest.js');
if (isBundleOf(bundle, join(dist, 'src/launcher/command.js'))) bundles.runBundle(bundle);
else await import('./command.js');
