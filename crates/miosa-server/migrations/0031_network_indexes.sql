-- What is looked for whenever a policy is removed and whenever a tenant's bindings are listed.
create index network_rules_policy on network_rules(policy_id);
create index bindings_tenant on bindings(tenant_id);
