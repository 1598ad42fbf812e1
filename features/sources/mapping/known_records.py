"""What CRM, billing and support systems call the columns of accounts, subscriptions and touchpoints."""

from collections.abc import Mapping

from features.schema import ACCOUNTS, SUBSCRIPTIONS, TOUCHPOINTS
from features.sources.mapping.known_names import KNOWN_NAMES, folded

__all__ = ["ENDED_NAMES", "KINDS", "SNAPSHOT_NAMES", "YEARLY_NAMES", "kind_of_change", "names_of"]


_ACCOUNT = (
    *("account", "customer_id", "customers_id", "customer", "tenant_id", "tenant", "org_id", "organization_id"),
    *("organisation_id", "company_id", "client_id", "workspace_id", "customer_oid", "customer_external_id"),
    *("associated_company_id", "account_number", "account_no", "customer_number", "customer_no", "organization"),
    *("organisation", "company", "client", "kunde", "kundennummer", "kunden_nr", "kunden_id", "client_code"),
)
_LEARNED = ("learned_at", "exported_at", "export_date", "snapshot_date", "snapshot_at", "as_of", "loaded_at")

_NAMES: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    ACCOUNTS.name: {
        "account_id": (*_ACCOUNT[:-9], "external_id", "record_id", "id", *_ACCOUNT[-9:]),
        "name": (
            *("account_name", "company_name", "customer_name", "organization_name", "organisation_name", "org_name"),
            *("customers_company", "company", "display_name", "firma", "firmenname", "nom", "raison_sociale"),
        ),
        "created_at": (
            *("created", "created_utc", "created_date", "create_date", "date_created", "creation_date", "signup_date"),
            *("sign_up_date", "signup_at", "signed_up_at", "signup", "registered_at", "registration_date"),
            *(
                "customer_since",
                "customers_created_at",
                "account_created",
                "start_date",
                "date_de_creation",
                "erstellt_am",
                "angelegt_am",
            ),
        ),
        "segment": (
            *("customer_segment", "account_segment", "company_size", "size", "industry", "tier", "customer_type"),
            *("account_type", "type", "vertical", "branche"),
        ),
        "region": (
            *("country", "billing_country", "country_region", "country_code", "territory", "geo", "market"),
            *("billing_address_country", "location", "land", "pays"),
        ),
        "owner": (
            *("csm", "account_manager", "customer_success_manager", "account_owner", "company_owner", "owner_name"),
            *("csm_name", "csm_email", "owner_email", "owner_id", "assigned_to", "betreuer"),
        ),
        "known_at": _LEARNED,
    },
    SUBSCRIPTIONS.name: {
        "account_id": _ACCOUNT,
        "subscription_id": (
            *("subscriptions_id", "subscription_oid", "subscription", "contract_id", "contract_number"),
            *("subscription_external_id", "id"),
        ),
        "occurred_at": (
            *("event_time", "event_date", "effective_date", "effective_at", "effective_from", "changed_at"),
            *("change_date", "event_at", "timestamp"),
            *("start_date", "started_at", "start_utc", "start", "start_date_utc", "subscription_start"),
            *("subscription_start_date", "subscriptions_started_at", "subscriptions_start_date"),
            *("subscription_started_at", "activated_at", "activation_date", "contract_start", "contract_start_date"),
            *("subscribed_at", "signup_date", "signed_up_at", "close_date", "created_at", "created", "created_utc"),
            *(
                "subscriptions_created_at",
                "created_date",
                "create_date",
                "date",
                "occurred",
                "vertragsbeginn",
                "datum",
                "date_de_debut",
                "date_debut",
            ),
        ),
        "known_at": _LEARNED,
        "kind": ("event", "event_type", "event_name", "type", "action", "change_type", "movement_type", "movement"),
        "plan": (
            *("plan_name", "subscription_plan", "current_plan", "plan_code", "plan_id", "subscriptions_plan_id"),
            *("item_price_id", "subscriptions_item_price_id", "tier", "product_name", "product", "package", "edition"),
            *("price_id", "sku", "tarif", "produkt", "offre", "forfait"),
        ),
        "mrr": (
            *("monthly_recurring_revenue", "subscriptions_mrr", "mrr_amount", "monthly_price", "monthly_amount"),
            *("monthly_revenue", "monthly_fee", "price_per_month", "amount", "plan_amount", "price", "unit_price"),
            *("recurring_amount", "fee", "betrag", "monatspreis", "preis", "montant", "prix"),
        ),
        "quota_calls_per_month": (
            *("quota", "monthly_quota", "call_quota", "calls_quota", "api_quota", "included_calls", "calls_included"),
            *("calls_per_month", "monthly_calls", "requests_per_month", "monthly_limit", "call_limit", "api_limit"),
            *("request_limit", "usage_limit", "limit", "kontingent"),
        ),
        "term_end": (
            *("current_period_end", "current_period_end_utc", "current_term_end", "subscriptions_current_term_end"),
            *("renewal_date", "renews_at", "next_renewal", "next_billing_at", "next_billing_date", "contract_end"),
            *("contract_end_date", "term_end_date", "expires_at", "expiration_date", "expiry_date", "valid_until"),
            *("end_date", "vertragsende"),
        ),
    },
    TOUCHPOINTS.name: {
        "account_id": _ACCOUNT,
        "occurred_at": (
            *("event_time", "created_at", "created", "created_date", "opened_at", "submitted_at", "responded_at"),
            *("timestamp", "time", "date", "activity_date", "logged_at", "create_date"),
        ),
        "known_at": _LEARNED,
        "kind": ("event", "event_type", "event_name", "type", "activity_type", "touchpoint", "channel", "action"),
        "value": ("score", "rating", "nps", "nps_score", "csat", "csat_score", "answer"),
    },
}

ENDED_NAMES = (
    *("ended_at", "ended_at_utc", "subscription_ended_at", "cancelled_at", "canceled_at", "canceled_at_utc"),
    *("cancelled_at_utc", "subscriptions_cancelled_at", "subscription_canceled_at", "subscription_cancelled_at"),
    *("cancelled_on", "canceled_on", "cancellation_date", "cancel_date", "cancelation_date", "churned_at"),
    *("churn_date", "terminated_at", "termination_date", "end_date", "ends_at", "end", "cancelled", "canceled"),
    *("gekundigt_am", "kundigungsdatum", "gekuendigt_am", "kuendigungsdatum", "date_de_fin", "date_fin"),
)
"""Names of the day a subscription ended, the surest first: one that was cancelled may run on to its end."""

YEARLY_NAMES = ("arr", "annual_recurring_revenue", "annual_amount", "annual_price", "acv", "yearly_price", "annual_fee")
"""Names of what a subscription pays a year."""

SNAPSHOT_NAMES = ("status", "state", "subscriptions_status", "subscription_status")
"""Names of what a subscription is now, which says not since when."""

_CHANGES = {
    "start": ("start", "started", "new", "created", "create", "signup", "subscribed", "activated", "new_business"),
    "renew": ("renew", "renewed", "renewal"),
    "upgrade": ("upgrade", "upgraded", "expansion"),
    "downgrade": ("downgrade", "downgraded", "contraction"),
    "cancel_notice": ("cancel_notice", "cancellation_scheduled", "cancel_scheduled", "notice"),
    "cancel": (
        *("cancel", "cancelled", "canceled", "cancellation", "churn", "churned", "ended", "terminated", "expired"),
        "deleted",
    ),
    "reactivate": ("reactivate", "reactivated", "reactivation", "resumed"),
}
_KIND_OF = {word: kind for kind, words in _CHANGES.items() for word in words}

KINDS = frozenset(("ticket_opened", "ticket_closed", "nps", "csat", "login", "payment_failed"))
"""Kinds of touchpoints that features are made of."""


def kind_of_change(word: str) -> str | None:
    """What a system's word for a change of a subscription says in ours; None where nobody knows.

    >>> kind_of_change("customer.subscription.deleted"), kind_of_change("Subscription Cancelled"), kind_of_change("a")
    ('cancel', 'cancel', None)
    """
    name = folded(word).removeprefix("customer_").removeprefix("subscription_")
    return _KIND_OF.get(name) or _KIND_OF.get(name.removesuffix("_subscription"))


def names_of(table: str) -> Mapping[str, tuple[str, ...]]:
    """Canonical column of a raw table to other names of it, the surest first."""
    return _NAMES.get(table, KNOWN_NAMES)
