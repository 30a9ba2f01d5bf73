"""What companies call the contract's columns: in small letters and digits, without anything else."""

from collections.abc import Mapping

CUSTOMER = (
    "customerid", "customer", "contactid", "userid", "clientid", "memberid", "householdid", "accountid", "custid",
    "customerno", "customernumber", "customercode", "buyerid", "shopperid", "subscriberid", "cardholderid",
    "kundennummer", "kundennr", "kundenid", "kunde", "klientid", "idklienta", "nrklienta", "klient",
    "идклиента", "кодклиента", "номерклиента", "idклиента", "клиентid", "клиент", "идпокупателя", "покупатель",  # noqa: RUF001 - Russian
)  # fmt: skip
SAID: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "customers": {
        "created_at": (
            "createdat", "createdon", "created", "signupdate", "signupat", "signupts", "signup", "registeredat",
            "registrationdate", "joined", "joinedat", "joindate", "customersince", "anlagedatum", "kundeseit",
            "registriertam", "datarejestracji", "датарегистрации", "датасоздания", "зарегистрирован",
        ),
        "acquisition_channel": ("acquisitionchannel", "source", "channel", "utmsource", "herkunft", "источник"),
        "region": ("region", "state", "country", "land", "bundesland", "kraj", "регион", "область", "город", "страна"),
        "gender": ("gender", "sex", "geschlecht", "plec", "płeć", "пол"),
        "age_band": ("ageband", "agegroup", "altersgruppe", "возрастнаягруппа"),
        "income_band": ("incomeband",),
        "industry": ("industry", "sector", "branche", "branża", "отрасль"),  # codespell:ignore branche
        "company_size": ("companysize", "employees"),
        "tier": ("tier", "loyaltytier", "segment", "kundengruppe", "уровень"),
    },
    "orders": {
        "order_id": (
            "orderid", "orderno", "ordernumber", "purchaseid", "transactionid", "invoiceid", "invoiceno",
            "invoicenumber", "basketid", "receiptid", "saleid", "bestellnummer", "bestellnr", "auftragsnummer",
            "rechnungsnummer", "numerzamowienia", "nrzamowienia", "номерзаказа", "идзаказа", "кодзаказа", "номерчека",
        ),
        "event_time": (
            "orderdate", "orderedat", "ordertime", "orderts", "purchasedon", "purchasedat", "purchasedate",
            "invoicedate", "transactiontimestamp", "transactiondate", "saledate", "bestelldatum", "bestelltam",
            "rechnungsdatum", "kaufdatum", "datazamowienia", "датазаказа", "датапокупки", "датапродажи",
        ),
        "value": (
            "totalprice", "amount", "total", "netvalue", "netamount", "salesvalue", "revenue", "spend", "ordertotal",
            "ordervalue", "totalamount", "linetotal", "paid", "price", "betrag", "summe", "umsatz", "nettobetrag",
            "gesamtbetrag", "kwota", "wartosc", "wartość", "сумма", "суммазаказа", "стоимость", "выручка", "итого",
        ),
        "currency": ("currencycode", "ccy", "waehrung", "währung", "waluta", "валюта"),
        "channel": ("saleschannel", "platform", "kanal", "kanał", "канал"),
        "category": ("productcategory", "department", "kategorie", "warengruppe", "kategoria", "категория"),
        "discount_value": ("discount", "discountamount", "rabatt", "rabat", "скидка"),
        "item_count": ("quantity", "qty", "items", "cds", "menge", "anzahl", "ilosc", "ilość", "количество"),
        "is_return": ("returned", "isrefund", "retoure", "возврат"),
    },
    "surveys": {
        "metric": (),
        "sent_at": ("sentat", "senton", "askedat", "surveydate", "reviewdate"),
        "responded_at": ("answeredat", "respondedon", "reviewdate"),
        "score": ("rating", "reviewrating", "answer", "nps", "csat", "ces", "bewertung", "оценка"),
        "touchpoint": (),
        "comment": ("reviewtext", "text", "feedback"),
    },
    "subscriptions": {
        "subscription_id": ("contractid", "vertragsnummer", "номердоговора"),
        "started_at": ("startdate", "startedon", "validfrom", "vertragsbeginn", "датаначала"),
        "ended_at": ("enddate", "endedon", "cancelledat", "canceledat", "vertragsende", "датаокончания"),
        "term_ends_at": ("renewaldate", "termend", "renewsat"),
        "plan": ("product", "tariff", "contract", "plantier", "planname", "tarif", "тариф"),
        "monthly_value": (
            "monthlyfee", "monthlyprice", "mrr", "mrramount", "monthlycharges", "monatspreis", "абонплата",
        ),
        "currency": ("currencycode", "waehrung", "währung", "валюта"),
    },
    "events": {
        "kind": ("event", "eventtype", "eventname", "action", "activity", "type", "ereignis", "событие"),
        "event_time": ("timestamp", "eventtime", "eventts", "occurredat", "zeitpunkt", "время"),
        "event_id": (),
        "channel": ("platform", "device", "kanal", "канал"),
        "touchpoint": ("page",),
        "value": (),
    },
    "campaigns": {
        "campaign_id": ("campaignid", "campaign", "kampagne", "kampania", "кампания"),
        "event_time": ("sent", "sentat", "senton", "contactedat", "contactdate", "startdate"),
        "is_control": ("control", "holdout", "iscontrolgroup"),
        "channel": ("medium", "kanal", "канал"),
        "cost": ("kosten", "koszt"),
    },
}  # fmt: skip
"""Other names of the contract's columns."""
ANY_TIME = (
    "eventtime", "timestamp", "ts", "date", "datetime", "time", "day", "createdat", "createdon", "submittedat",
    "openedat", "datum", "data", "дата",
)  # fmt: skip
UNIT_PRICE = ("unitprice", "price", "itemprice", "priceperunit", "einzelpreis", "stückpreis", "preis", "cena", "цена")
IDENTITY = {"valid_from": ("validfrom", "since", "fromdate"), "valid_to": ("validto", "until", "todate")}
RATES = {
    "code": ("currency", "currencycode", "code", "ccy", "waehrung", "währung", "waluta", "валюта"),
    "day": ("day", "date", "validfrom", "datum", "data", "дата"),
    "rate": ("rate", "exchangerate", "fxrate", "kurs", "курс"),
}
KINDS = {
    "ticket": "support_ticket", "redemption": "loyalty_redeem", "complaint": "complaint", "call": "call",
    "session": "session", "visit": "session",
}  # fmt: skip
"""What a log is of, by a word in its name."""
