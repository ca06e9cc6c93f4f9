/** Instruction forms by how often guests execute them, hottest first: these get the interpreter's fast handlers. */
export const HOT_FORMS: readonly string[] = [];
