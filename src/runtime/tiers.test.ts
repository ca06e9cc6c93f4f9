import { expect, test } from '@jest/globals';
import { beginOfTranslation, BOOT_INSTRUCTIONS } from './tiers.js';

test('a boot that is short is over before anything is translated, one that is long is not waited for', () => {
  const usual = beginOfTranslation();
  expect(usual.workerStart).toBeGreaterThan(BOOT_INSTRUCTIONS);
  expect(usual.firstRequest).toBeGreaterThan(usual.workerStart);
  for (const longer of [80_000_000, 110_000_000])
    expect(beginOfTranslation(longer).workerStart).toBeGreaterThan(longer);
  expect(beginOfTranslation(200_000_000)).toEqual(usual);
});
