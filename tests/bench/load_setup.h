/*
 * load_setup.h: inserts the rows that a load run needs, by SQL.
 */

#ifndef LOAD_SETUP_H
#define LOAD_SETUP_H

#include "load.h"

/* 0, or -1 after a message on stderr. A second call changes nothing. */
int load_setup(const load_opt_t *opt);

#endif
