import { type FormTable, formTableText, readFormTable } from './form-table.js';

const layout = (at: number) => ({ fields: [{ name: 'rm', width: 1 as const, at }], bytes: 8 });
const TABLE: FormTable = {
  forms: [
    { id: 7, handler: 3, slow: 9, layout: layout(5) },
    { id: 2, handler: 4, layout: layout(6) },
    { id: 3, handler: 5, layout: layout(5) },
  ],
  sequences: [{ forms: [7, 2], handler: 8 }],
};

test('a form table is read as it was written', () => {
  const read = readFormTable(formTableText(TABLE));
  expect(read).toEqual(TABLE);
  expect(read.forms[2]!.layout).toBe(read.forms[0]!.layout);
});
