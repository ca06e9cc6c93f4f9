/* A line of input from the console, with echo and editing. */
#ifndef LINE_H
#define LINE_H
/* Reads a line without its end. Backspace, ^U (erase line), ^C (give up: empty line). */
void read_line(char *line, unsigned int size);
#endif
