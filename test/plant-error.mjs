/**
 * Loaded before the command (`node --import`), also in its worker: breaks the translator as the environment variable
 * LGUEST_PLANT says, after LGUEST_PLANT_AFTER regions that are right. For tests of what is told of such errors.
 */
import { isMainThread } from 'node:worker_threads';
import { Emitter } from '../dist/src/backend-wasm/binaryen.js';
import { RegionCache } from '../dist/src/runtime/region-cache.js';

const { addFunction } = Emitter.prototype;
let right = Number(process.env.LGUEST_PLANT_AFTER ?? 0);

/** Makes the body of a region what `body` says. */
function withBody(body) {
  Emitter.prototype.addFunction = function (name, params, result, locals, code) {
    const isWrong = name === 'region' && right-- <= 0;
    addFunction.call(this, name, params, result, locals, isWrong ? body(this, code) : code);
  };
}

const { WebAssembly } = globalThis;

const ERRORS = {
  /** A region traps when it is entered. */
  trap: () => withBody((e, code) => e.block(null, [e.unreachable(), code])),
  /** A region's module does not validate. */
  invalid: () => withBody((e, code) => e.block(null, [e.return(e.i64(1n)), code])),
  /** The lowering throws. */
  exception: () =>
    withBody(() => {
      throw new Error('planted');
    }),
  /** The interpreter traps: it calls a region that is not there. */
  interpreter: () => {
    const { install } = RegionCache.prototype;
    RegionCache.prototype.install = function (...args) {
      const { set } = WebAssembly.Table.prototype;
      WebAssembly.Table.prototype.set = () => {};
      install.apply(this, args);
      WebAssembly.Table.prototype.set = set;
    };
  },
  /** The worker ends, as by a fatal error of Binaryen's. */
  exit: () =>
    withBody((e, code) => {
      if (!isMainThread) process.exit(1);
      return code;
    }),
};
ERRORS[process.env.LGUEST_PLANT]();
