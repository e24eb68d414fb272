// SPDX-License-Identifier: Apache-2.0
//
// Which objects a client asks for.
#include <stdlib.h>
#include <string.h>

#include "host_internal.h"
#include "wql.h"

static enum kvpbus_cim_status status_of_path(enum kvpbus_cim_path_result result)
{
    switch (result) {
    case KVPBUS_CIM_PATH_OK:
        return KVPBUS_CIM_OK;
    case KVPBUS_CIM_PATH_NOMEM:
        return KVPBUS_CIM_NOMEM;
    case KVPBUS_CIM_PATH_ELSEWHERE:
        return KVPBUS_CIM_INVALID_NAMESPACE;
    case KVPBUS_CIM_PATH_INVALID:
        break;
    }
    return KVPBUS_CIM_INVALID_PATH;
}

// The class of an index that has the name, or is derived from one with it; NULL when it is not.
static const struct kvpbus_cim_class *derived(size_t index, const char *name)
{
    const struct kvpbus_cim_class *class = kvpbus_cim_class_at(index);
    return kvpbus_cim_class_is(class, name) ? class : NULL;
}

static bool is_class_name(const char *name)
{
    for (size_t i = 0; i < kvpbus_cim_class_count(); i++)
        if (derived(i, name) != NULL)
            return true;
    return false;
}

// Takes those out of `from` that fulfil the condition; the others are freed.
static bool filter(const struct kvpbus_wql_query *query, struct kvpbus_cim_list *from,
                   struct kvpbus_cim_list *list)
{
    bool kept = true;
    for (size_t i = 0; i < from->count; i++) {
        struct kvpbus_cim_object *object = from->objects[i];
        if (!kept || !kvpbus_wql_matches(query, object)) {
            kvpbus_cim_object_free(object);
            continue;
        }
        object->visible = kvpbus_wql_selection(query, object->class);
        kept = kvpbus_cim_list_add(list, object);
    }
    from->count = 0;
    kvpbus_cim_list_free(from);
    return kept;
}

// Jobs are not listed, as the lab does not list them: those are looked at whose InstanceID the
// query compares.
static enum kvpbus_cim_status make_jobs(struct kvpbus_cim_host *host,
                                        const struct kvpbus_wql_query *query,
                                        struct kvpbus_cim_list *list)
{
    for (int i = 0; i < query->node_count; i++) {
        const struct kvpbus_wql_node *node = &query->nodes[i];
        struct kvpbus_cim_object *job;
        if (node->operator_ != KVPBUS_WQL_EQUAL || node->literal == NULL ||
            kvpbus_cim_compare(node->property, "InstanceID") != 0)
            continue;
        enum kvpbus_cim_status status = kvpbus_cim_make_job(host, node->literal, &job);
        if (status == KVPBUS_CIM_OK && !kvpbus_cim_list_add(list, job))
            status = KVPBUS_CIM_NOMEM;
        if (status != KVPBUS_CIM_OK && status != KVPBUS_CIM_NOT_FOUND)
            return status;
    }
    return KVPBUS_CIM_OK;
}

static enum kvpbus_cim_status select_from(struct kvpbus_cim_host *host,
                                          const struct kvpbus_wql_query *query,
                                          const struct kvpbus_cim_class *class,
                                          struct kvpbus_cim_list *list)
{
    struct kvpbus_cim_list all = {0};
    bool jobs = kvpbus_cim_class_is(class, "Msvm_ConcreteJob");
    enum kvpbus_cim_status status =
        jobs ? make_jobs(host, query, &all) : kvpbus_cim_make_instances(host, class, &all);
    if (status != KVPBUS_CIM_OK) {
        kvpbus_cim_list_free(&all);
        return status;
    }
    return filter(query, &all, list) ? KVPBUS_CIM_OK : KVPBUS_CIM_NOMEM;
}

static enum kvpbus_cim_status select_all(struct kvpbus_cim_host *host,
                                         const struct kvpbus_wql_query *query,
                                         struct kvpbus_cim_list *list)
{
    enum kvpbus_cim_status status = KVPBUS_CIM_OK;
    if (!is_class_name(query->class_name))
        return KVPBUS_CIM_INVALID_CLASS;
    for (size_t i = 0; i < kvpbus_cim_class_count(); i++) {
        const struct kvpbus_cim_class *class = derived(i, query->class_name);
        if (class != NULL && !kvpbus_wql_fits(query, class))
            return KVPBUS_CIM_INVALID_QUERY;
    }
    for (size_t i = 0; status == KVPBUS_CIM_OK && i < kvpbus_cim_class_count(); i++) {
        const struct kvpbus_cim_class *class = derived(i, query->class_name);
        if (class != NULL && !class->embedded)
            status = select_from(host, query, class, list);
    }
    return status;
}

// A filter for objects by a path, for ASSOCIATORS and REFERENCES.
struct related {
    const struct kvpbus_wql_query *query;
    char *source; // its path
    struct kvpbus_cim_list *list;
};

static enum kvpbus_cim_status get_without_items(struct kvpbus_cim_host *host,
                                                const struct kvpbus_cim_reference *reference,
                                                struct kvpbus_cim_object **object);

// The instance that the text of a reference names.
static enum kvpbus_cim_status resolve(struct kvpbus_cim_host *host, const char *path,
                                      struct kvpbus_cim_object **object)
{
    struct kvpbus_cim_reference reference;
    enum kvpbus_cim_status status =
        status_of_path(kvpbus_cim_path_parse(path, kvpbus_cim_host_scope(host), &reference));
    if (status != KVPBUS_CIM_OK)
        return status;
    status = get_without_items(host, &reference, object);
    free(reference.text);
    return status;
}

// Whether the list has the object; in *status whether there was memory to find out.
static bool has(const struct kvpbus_cim_scope *scope, const struct kvpbus_cim_list *list,
                const struct kvpbus_cim_object *object, enum kvpbus_cim_status *status)
{
    char *path = kvpbus_cim_path(object, scope), *other = path;
    bool found = false;
    for (size_t i = 0; other != NULL && !found && i < list->count; i++) {
        other = kvpbus_cim_path(list->objects[i], scope);
        found = other != NULL && strcmp(other, path) == 0;
        free(other);
    }
    *status = other != NULL ? KVPBUS_CIM_OK : KVPBUS_CIM_NOMEM;
    free(path);
    return found;
}

// Adds the object at the other end, once.
static enum kvpbus_cim_status add_other_end(struct kvpbus_cim_host *host,
                                            const struct related *related, const char *path)
{
    struct kvpbus_cim_object *object;
    enum kvpbus_cim_status status = resolve(host, path, &object);
    if (status == KVPBUS_CIM_NOT_FOUND)
        return KVPBUS_CIM_OK;
    if (status != KVPBUS_CIM_OK)
        return status;
    bool wanted = related->query->result_class == NULL ||
                  kvpbus_cim_class_is(object->class, related->query->result_class);
    wanted = wanted && !has(kvpbus_cim_host_scope(host), related->list, object, &status);
    if (wanted && status == KVPBUS_CIM_OK)
        return kvpbus_cim_list_add(related->list, object) ? KVPBUS_CIM_OK : KVPBUS_CIM_NOMEM;
    kvpbus_cim_object_free(object);
    return status;
}

// Index of the property of an association that refers to the source, in the role that is asked
// for; -1 when there is none.
static int end_of(const struct kvpbus_cim_object *association, const struct related *related)
{
    for (int i = 0; i < (int)association->class->property_count; i++) {
        const struct kvpbus_cim_property *property = &association->class->properties[i];
        bool role = related->query->role == NULL ||
                    kvpbus_cim_compare(related->query->role, property->name) == 0;
        if (property->type == KVPBUS_CIM_REFERENCE && role && association->values[i].count > 0 &&
            kvpbus_cim_compare(association->values[i].texts[0], related->source) == 0)
            return i;
    }
    return -1;
}

static enum kvpbus_cim_status follow(struct kvpbus_cim_host *host, const struct related *related,
                                     const struct kvpbus_cim_object *association, int end)
{
    enum kvpbus_cim_status status = KVPBUS_CIM_OK;
    const struct kvpbus_cim_class *class = association->class;
    if (related->query->kind == KVPBUS_WQL_REFERENCES)
        return kvpbus_cim_list_add(related->list, kvpbus_cim_object_copy(association))
                   ? KVPBUS_CIM_OK
                   : KVPBUS_CIM_NOMEM;
    for (int i = 0; status == KVPBUS_CIM_OK && i < (int)class->property_count; i++) {
        const struct kvpbus_cim_property *property = &class->properties[i];
        bool role = related->query->result_role == NULL ||
                    kvpbus_cim_compare(related->query->result_role, property->name) == 0;
        if (i != end && role && property->type == KVPBUS_CIM_REFERENCE)
            status = add_other_end(host, related, association->values[i].texts[0]);
    }
    return status;
}

static enum kvpbus_cim_status follow_class(struct kvpbus_cim_host *host,
                                           const struct related *related,
                                           const struct kvpbus_cim_class *class)
{
    struct kvpbus_cim_list all = {0};
    enum kvpbus_cim_status status = kvpbus_cim_make_instances(host, class, &all);
    for (size_t i = 0; status == KVPBUS_CIM_OK && i < all.count; i++) {
        int end = end_of(all.objects[i], related);
        if (end >= 0)
            status = follow(host, related, all.objects[i], end);
    }
    kvpbus_cim_list_free(&all);
    return status;
}

static enum kvpbus_cim_status relate(struct kvpbus_cim_host *host,
                                     const struct kvpbus_wql_query *query,
                                     struct kvpbus_cim_list *list)
{
    struct related related = {.query = query, .list = list};
    bool references = query->kind == KVPBUS_WQL_REFERENCES;
    const char *through = references ? query->result_class : query->association;
    struct kvpbus_cim_object *source;
    enum kvpbus_cim_status status = resolve(host, query->path, &source);
    if (status != KVPBUS_CIM_OK)
        return status;
    if (source->is_class || (through != NULL && !is_class_name(through)))
        status = source->is_class ? KVPBUS_CIM_INVALID_QUERY : KVPBUS_CIM_INVALID_CLASS;
    else if ((related.source = kvpbus_cim_path(source, kvpbus_cim_host_scope(host))) == NULL)
        status = KVPBUS_CIM_NOMEM;
    for (size_t i = 0; status == KVPBUS_CIM_OK && i < kvpbus_cim_class_count(); i++) {
        const struct kvpbus_cim_class *class = kvpbus_cim_class_at(i);
        if (class->association && (through == NULL || kvpbus_cim_class_is(class, through)))
            status = follow_class(host, &related, class);
    }
    kvpbus_cim_object_free(source);
    free(related.source);
    return status;
}

enum kvpbus_cim_status kvpbus_cim_host_query(struct kvpbus_cim_host *host, const char *text,
                                             struct kvpbus_cim_list *list)
{
    struct kvpbus_wql_query *query;
    enum kvpbus_wql_result parsed = kvpbus_wql_parse(text, &query);
    if (parsed != KVPBUS_WQL_OK)
        return parsed == KVPBUS_WQL_NOMEM ? KVPBUS_CIM_NOMEM : KVPBUS_CIM_INVALID_QUERY;
    enum kvpbus_cim_status status = query->kind == KVPBUS_WQL_SELECT ? select_all(host, query, list)
                                                                     : relate(host, query, list);
    if (status == KVPBUS_CIM_OK)
        status = kvpbus_cim_fill_items(host, list);
    kvpbus_wql_free(query);
    return status;
}

enum kvpbus_cim_status kvpbus_cim_host_instances(struct kvpbus_cim_host *host,
                                                 const char *class_name, bool shallow,
                                                 struct kvpbus_cim_list *list)
{
    enum kvpbus_cim_status status = KVPBUS_CIM_OK;
    if (!is_class_name(class_name))
        return KVPBUS_CIM_INVALID_CLASS;
    for (size_t i = 0; status == KVPBUS_CIM_OK && i < kvpbus_cim_class_count(); i++) {
        const struct kvpbus_cim_class *class = derived(i, class_name);
        if (class != NULL && !class->embedded &&
            (!shallow || kvpbus_cim_compare(class->name, class_name) == 0))
            status = kvpbus_cim_make_instances(host, class, list);
    }
    return status == KVPBUS_CIM_OK ? kvpbus_cim_fill_items(host, list) : status;
}

static enum kvpbus_cim_status get_class(const char *name, struct kvpbus_cim_object **object)
{
    const struct kvpbus_cim_class *class = kvpbus_cim_class_find(name);
    if (class == NULL)
        return KVPBUS_CIM_NOT_FOUND;
    *object = kvpbus_cim_object_new(class);
    if (*object == NULL)
        return KVPBUS_CIM_NOMEM;
    (*object)->is_class = true;
    return KVPBUS_CIM_OK;
}

static enum kvpbus_cim_status pick(const struct kvpbus_cim_reference *reference,
                                   struct kvpbus_cim_list *all, struct kvpbus_cim_object **object)
{
    for (size_t i = 0; i < all->count; i++) {
        if (!kvpbus_cim_path_names(reference, all->objects[i]))
            continue;
        *object = all->objects[i];
        all->objects[i] = all->objects[--all->count];
        return KVPBUS_CIM_OK;
    }
    return KVPBUS_CIM_NOT_FOUND;
}

static enum kvpbus_cim_status get_without_items(struct kvpbus_cim_host *host,
                                                const struct kvpbus_cim_reference *reference,
                                                struct kvpbus_cim_object **object)
{
    if (!reference->is_instance)
        return get_class(reference->class_name, object);
    const struct kvpbus_cim_class *class = kvpbus_cim_class_find(reference->class_name);
    if (class == NULL)
        return KVPBUS_CIM_INVALID_CLASS;
    if (!kvpbus_cim_path_fits(reference, class))
        return KVPBUS_CIM_INVALID_PATH;
    if (kvpbus_cim_class_is(class, "Msvm_ConcreteJob"))
        return kvpbus_cim_make_job(host, reference->keys[0].value, object);
    if (class->embedded)
        return KVPBUS_CIM_NOT_FOUND;
    struct kvpbus_cim_list all = {0};
    enum kvpbus_cim_status status = kvpbus_cim_make_instances(host, class, &all);
    if (status == KVPBUS_CIM_OK)
        status = pick(reference, &all, object);
    kvpbus_cim_list_free(&all);
    return status;
}

enum kvpbus_cim_status kvpbus_cim_host_get(struct kvpbus_cim_host *host, const char *path,
                                           struct kvpbus_cim_object **object)
{
    enum kvpbus_cim_status status = resolve(host, path, object);
    if (status != KVPBUS_CIM_OK || (*object)->is_class)
        return status;
    struct kvpbus_cim_list one = {.objects = object, .count = 1};
    status = kvpbus_cim_fill_items(host, &one);
    if (status != KVPBUS_CIM_OK) {
        kvpbus_cim_object_free(*object);
        *object = NULL;
    }
    return status;
}
