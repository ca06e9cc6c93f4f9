/**
 * Import this for `createEngine` to make reference engines too. They bring the lifters and the evaluator, half of all
 * there is to load: the launcher does without unless it is asked for one.
 */
import { offerReferenceEngine } from './create-engine.js';
import { ReferenceEngine } from './reference-engine.js';

offerReferenceEngine(({ ramBytes, devicePages }) => new ReferenceEngine({ ramBytes, devicePages }));
