// Where everything in the grid is: sections of equal rows below headings, as plain numbers.

export const HEADING = 44;
const CAPTION = 44; // below a picture
const GAP = 12;

// As many columns as fit, two at least.
export function columnsFor(width) {
  const tile = width < 600 ? 150 : width < 1600 ? 190 : 230;
  return Math.max(2, Math.floor((width + GAP) / (tile + GAP)));
}

export class GridLayout {
  constructor(width, total, groups) {
    this.gap = width < 600 ? 8 : GAP;
    this.columns = columnsFor(width);
    this.tile = Math.floor((width - this.gap * (this.columns - 1)) / this.columns);
    this.rowHeight = this.tile + CAPTION + this.gap;
    this.total = total;
    this.sections = [];
    let top = 0;
    let first = 0;
    let firstRow = 0;
    for (const [label, count] of groups.length ? groups : [["", total]]) {
      const rows = Math.ceil(count / this.columns);
      const heading = label ? HEADING : 0;
      this.sections.push({ label, first, count, rows, firstRow, top, body: top + heading });
      top += heading + rows * this.rowHeight;
      first += count;
      firstRow += rows;
    }
    this.height = top;
    this.rows = firstRow;
  }

  // The last section for which `key` is at most `value`.
  section(key, value) {
    let low = 0;
    let high = this.sections.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (this.sections[middle][key] <= value) low = middle;
      else high = middle - 1;
    }
    return this.sections[low];
  }

  // The rows between two heights: the number of each, its top, its first photo and their count.
  *rowsBetween(from, to) {
    if (!this.total) return;
    let at = this.sections.indexOf(this.section("top", Math.max(0, from)));
    for (; at < this.sections.length && this.sections[at].top <= to; at += 1) {
      const { body, rows, firstRow, first, count } = this.sections[at];
      const start = Math.max(0, Math.floor((from - body) / this.rowHeight));
      const end = Math.min(rows - 1, Math.floor((to - body) / this.rowHeight));
      for (let row = start; row <= end; row += 1) {
        const offset = row * this.columns;
        yield {
          row: firstRow + row,
          top: body + row * this.rowHeight,
          first: first + offset,
          count: Math.min(this.columns, count - offset),
        };
      }
    }
  }

  // The headings between two heights.
  headingsBetween(from, to) {
    return this.sections.filter(
      ({ label, top }) => label && top + HEADING >= from && top <= to,
    );
  }

  // Row, column and top of a photo.
  place(index) {
    const section = this.section("first", index);
    const inside = index - section.first;
    const row = Math.floor(inside / this.columns);
    return {
      row: section.firstRow + row,
      column: inside % this.columns,
      top: section.body + row * this.rowHeight,
      section,
    };
  }

  // The photo some rows below or above another one, in the same column if there is one.
  below(index, rows) {
    const { row, column } = this.place(index);
    const wanted = Math.min(this.rows - 1, Math.max(0, row + rows));
    if (wanted === row) return index;
    const section = this.section("firstRow", wanted);
    const first = section.first + (wanted - section.firstRow) * this.columns;
    return Math.min(first + column, section.first + section.count - 1);
  }
}
