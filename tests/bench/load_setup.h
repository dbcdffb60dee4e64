/*
 * load_setup.h: the rows a load run needs, by SQL.
 */

#ifndef LOAD_SETUP_H
#define LOAD_SETUP_H

#include "load.h"

/* 0, or -1 after saying why on stderr. Doing it twice is harmless. */
int load_setup(const load_opt_t *opt);

#endif
