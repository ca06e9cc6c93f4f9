/** Jest reporter: the run in one line, for machines that read it. Test files that could not run count as a failure. */
export default class CountReporter {
  onRunComplete(_contexts, results) {
    this.failed = results.numFailedTests + results.numRuntimeErrorTestSuites;
    const { numPassedTests } = results;
    // After the default reporter's summary, which it prints in its own onRunComplete.
    process.on('exit', () => process.stdout.write(`${numPassedTests} passed, ${this.failed} failed\n`));
  }
}
