import { expect, test } from '@jest/globals';
import { beginOfTranslation, BOOT_INSTRUCTIONS } from './tiers.js';

test('a boot that is short is over before anything is translated, one that is long is not waited for', () => {
  const usual = beginOfTranslation();
  expect(usual.workerStart).toBeGreaterThan(BOOT_INSTRUCTIONS);
  expect(usual.firstRequest).toBeGreaterThan(usual.workerStart);
  const longer = beginOfTranslation(80_000_000);
  expect(longer.workerStart).toBeGreaterThan(80_000_000);
  expect(beginOfTranslation(200_000_000)).toEqual(usual);
});
