/*
 * chat_version.h: the version as text, for programs and the module.
 *
 * The file VERSION at the top of the source tree is its only source: the
 * Makefile passes it as -DCHAT_VERSION=0.2.0, without quotes, because nginx's
 * configure does not keep quotes in compiler options.
 */

#ifndef CHAT_VERSION_H
#define CHAT_VERSION_H

#define CHAT_VERSION_QUOTE(version)   #version
#define CHAT_VERSION_EXPAND(version)  CHAT_VERSION_QUOTE(version)

#define CHAT_VERSION_TEXT  CHAT_VERSION_EXPAND(CHAT_VERSION)

#endif
