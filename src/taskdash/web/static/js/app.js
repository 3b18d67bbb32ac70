// What every page starts. Each module looks for what it serves and does nothing where that is not.

import * as board from "./board.js";
import * as clock from "./clock.js";
import * as copy from "./copy.js";
import * as dialog from "./dialog.js";
import * as form from "./form.js";
import * as held from "./held.js";
import * as keys from "./keys.js";
import * as menus from "./menus.js";
import * as page from "./page.js";
import * as palette from "./palette.js";
import * as picker from "./picker.js";
import * as press from "./press.js";
import * as select from "./select.js";
import * as stream from "./stream.js";

for (const module of [press, copy, form, dialog, picker, board, held, menus, page, select, keys, palette, clock, stream]) module.start();
