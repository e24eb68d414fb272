// SPDX-License-Identifier: Apache-2.0
//
// The objects of the stand-in WMI provider, without COM: classes in tables, and objects whose
// values are texts in UTF-8. Everything in this folder that is not named *_windows.c is built on
// Linux too and tested there.
#ifndef KVPBUS_LAB_WMI_CIM_H
#define KVPBUS_LAB_WMI_CIM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    KVPBUS_CIM_PROPERTIES_MAX = 64, // of a class
    KVPBUS_CIM_KEYS_MAX = 4,
    KVPBUS_CIM_BASES_MAX = 8,
    KVPBUS_CIM_ELEMENTS_MAX = 1024, // of an array
    // Bytes of UTF-8 in one text: a request of this size is refused by the lab anyway.
    KVPBUS_CIM_TEXT_MAX = 512 * 1024,
};

enum kvpbus_cim_type {
    KVPBUS_CIM_STRING,
    KVPBUS_CIM_BOOLEAN,
    KVPBUS_CIM_UINT8,
    KVPBUS_CIM_SINT8,
    KVPBUS_CIM_UINT16,
    KVPBUS_CIM_UINT32,
    KVPBUS_CIM_UINT64,
    KVPBUS_CIM_DATETIME,
    KVPBUS_CIM_REFERENCE,
};

struct kvpbus_cim_property {
    const char *name;
    enum kvpbus_cim_type type;
    bool array;
    bool key;
    bool propagated;     // declared by a base class
    bool embedded;       // array of texts that are instances of Msvm_KvpExchangeDataItem
    const char *initial; // value of a new instance; NULL is none
};

struct kvpbus_cim_method {
    const char *name;
    const struct kvpbus_cim_class *in, *out; // "__PARAMETERS"
};

struct kvpbus_cim_class {
    const char *name;
    const char *bases[KVPBUS_CIM_BASES_MAX + 1]; // the nearest first, NULL behind the last
    bool association;
    bool embedded; // there are no instances of it but in other objects
    const struct kvpbus_cim_property *properties;
    size_t property_count;
    const struct kvpbus_cim_method *methods;
    size_t method_count;
};

// A value is null, or one text, or with an array any number of them. Numbers are decimal, booleans
// "TRUE" and "FALSE".
struct kvpbus_cim_value {
    bool set;
    size_t count;
    char **texts;
};

struct kvpbus_cim_object {
    const struct kvpbus_cim_class *class;
    bool is_class; // the class itself: its values are the initial ones
    // Which properties there are: bit i for property i. A query may ask for some only.
    uint64_t visible;
    struct kvpbus_cim_value values[KVPBUS_CIM_PROPERTIES_MAX];
};

// Case does not matter in names. NULL when there is none.
const struct kvpbus_cim_class *kvpbus_cim_class_find(const char *name);
size_t kvpbus_cim_class_count(void);
const struct kvpbus_cim_class *kvpbus_cim_class_at(size_t index);
const struct kvpbus_cim_method *kvpbus_cim_method_find(const struct kvpbus_cim_class *class,
                                                       const char *name);
// The class has this name, or is derived from one that has it.
bool kvpbus_cim_class_is(const struct kvpbus_cim_class *class, const char *name);
// The class in which the property of this index is declared.
const char *kvpbus_cim_origin(const struct kvpbus_cim_class *class, size_t index);
// Index of a property, or -1.
int kvpbus_cim_property_find(const struct kvpbus_cim_class *class, const char *name);

// "uint16"; a reference is "ref".
const char *kvpbus_cim_type_text(enum kvpbus_cim_type type);

// A new instance with the initial values. NULL when there is no memory, as from all below.
struct kvpbus_cim_object *kvpbus_cim_object_new(const struct kvpbus_cim_class *class);
struct kvpbus_cim_object *kvpbus_cim_object_copy(const struct kvpbus_cim_object *object);
void kvpbus_cim_object_free(struct kvpbus_cim_object *object);

// Sets a property, which exists, to one text, or to null with text NULL. False: no memory.
bool kvpbus_cim_set(struct kvpbus_cim_object *object, const char *name, const char *text);
bool kvpbus_cim_set_number(struct kvpbus_cim_object *object, const char *name, uint64_t number);
// Adds an element to an array; `texts` of a null array begin here.
bool kvpbus_cim_append(struct kvpbus_cim_object *object, const char *name, const char *text);
// An array that is there and has no element.
void kvpbus_cim_set_empty(struct kvpbus_cim_object *object, const char *name);
void kvpbus_cim_value_clear(struct kvpbus_cim_value *value);

// The text of a property, which is no array; NULL when it is null or is not visible.
const char *kvpbus_cim_get(const struct kvpbus_cim_object *object, const char *name);

// A list of objects that grows; free with kvpbus_cim_list_free.
struct kvpbus_cim_list {
    struct kvpbus_cim_object **objects;
    size_t count, capacity;
};

// Takes the object over, also when it returns false for lack of memory or the object is NULL.
bool kvpbus_cim_list_add(struct kvpbus_cim_list *list, struct kvpbus_cim_object *object);
void kvpbus_cim_list_free(struct kvpbus_cim_list *list);

// Where the objects live, for their paths.
struct kvpbus_cim_scope {
    char server[64];     // the computer's name
    char name_space[32]; // "root\\virtualization\\v2"
};

// "Class.Key=\"…\",Key=\"…\"", the keys in alphabetical order; "Class" of a class. NULL when a key
// is not visible or is null, or when there is no memory. Freed by the caller.
char *kvpbus_cim_relative_path(const struct kvpbus_cim_object *object);
// The same with "\\\\SERVER\\name\\space:" before it.
char *kvpbus_cim_path(const struct kvpbus_cim_object *object, const struct kvpbus_cim_scope *scope);

// A path taken apart. Names and values point into `text`, which belongs to it.
struct kvpbus_cim_reference {
    char *text;
    const char *class_name;
    bool is_instance;
    bool singleton; // "Class=@"
    size_t key_count;
    struct {
        const char *name; // NULL: "Class=\"value\""
        const char *value;
    } keys[KVPBUS_CIM_KEYS_MAX];
};

enum kvpbus_cim_path_result {
    KVPBUS_CIM_PATH_OK,
    KVPBUS_CIM_PATH_INVALID,   // not a path
    KVPBUS_CIM_PATH_ELSEWHERE, // of another namespace
    KVPBUS_CIM_PATH_NOMEM,
};

// Server and namespace may be missing. On KVPBUS_CIM_PATH_OK the caller frees reference->text.
enum kvpbus_cim_path_result kvpbus_cim_path_parse(const char *path,
                                                  const struct kvpbus_cim_scope *scope,
                                                  struct kvpbus_cim_reference *reference);

// True when the object is the one that the path names: all keys given, and equal.
bool kvpbus_cim_path_names(const struct kvpbus_cim_reference *reference,
                           const struct kvpbus_cim_object *object);
// False when the path lacks keys of the class or has others.
bool kvpbus_cim_path_fits(const struct kvpbus_cim_reference *reference,
                          const struct kvpbus_cim_class *class);

// Case does not matter, of ASCII letters.
unsigned char kvpbus_cim_lower(char c);
// Compares as WQL does.
int kvpbus_cim_compare(const char *left, const char *right);

#endif
