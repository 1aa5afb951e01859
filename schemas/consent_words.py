"""Words with which customers end or begin marketing: whole messages in the languages of tenants.

Takes: nothing; reviewed by hand. A phrase is here only if nobody would send it for another reason:
       a bare "no" or "cancel" answers a reminder, and ends nothing
Source: keywords of carriers and of WhatsApp's own buttons, beside what people write, also on a
        keyboard that lacks letters of theirs
"""

from __future__ import annotations

import unicodedata
from functools import lru_cache

OUT, IN = 0, 1
"""What a message says of marketing."""

OPT_OUT = {
    "en": "stop|stop all|stopall|stop sms|sms stop|stop ads|stop promotions|stop messages"
    "|unsubscribe|unsubscribe me|opt out|optout"
    "|do not write to me|don't write to me|do not message me|don't message me|no more messages"
    "|do not text me|don't text me|stop texting me|stop messaging me",
    "ru": "стоп|стоп реклама|стоп рассылка|отписаться|отписка|отпишите|отпишите меня|отпиши меня"
    "|отписаться от рассылки|отказ от рассылки|отказаться от рассылки|хватит писать"
    "|не пишите|не пишите мне|больше не пишите|больше не пишите мне|не пишите больше"
    "|не пишите мне больше|не присылайте рекламу|не присылайте мне рекламу|не присылайте сообщения"
    "|не присылайте мне сообщения|не беспокоить|уберите меня из рассылки"
    "|удалите меня из рассылки|отпишите меня от рассылки|стоп смс|смс стоп",
    "kk": "тоқтату|тоқтат|тоқтатыңыз|токтату|токтат|токтатыныз|toqtatu|жазылымнан шығу"
    "|жазылудан бас тарту|жазылымнан бас тарту|хат жазбаңыз|жазбаңыз|маған жазбаңыз",
    "uk": "стоп|відписатися|відписатись|відпишіть|відпишіть мене|відписка|не пишіть"
    "|не пишіть мені|більше не пишіть",
    "uz": "to'xtatish|toxtatish|to'xtating|тўхтатиш|тўхтатинг|obunani bekor qilish"
    "|обунани бекор қилиш|yozmang|ёзманг",
    "ky": "токтотуу|токтот|токтоткула|жазылуудан баш тартуу|жазбагыла|жазбаңыз",
    "be": "стоп|адпісацца|адпішыце мяне|не пішыце",
    "az": "dayandır|abunəlikdən çıx|abunəliyi ləğv et|yazmayın",
    "hy": "կանգնեցնել|հրաժարվել|ապաբաժանորդագրվել|մի գրեք",
    "ka": "შეწყვეტა|გამოწერის გაუქმება|ნუ მწერთ",
    "de": "stopp|stop|abmelden|abbestellen|austragen|keine werbung|keine nachrichten mehr"
    "|schreiben sie mir nicht mehr",
    "es": "alto|parar|darse de baja|darme de baja|dar de baja|cancelar suscripción"
    "|no me escriban|no me escriban más|no más mensajes|stop",
    "fr": "arrêt|arret|arrêter|désabonner|désabonnement|se désabonner|me désabonner|désinscription"
    "|se désinscrire|ne m'écrivez plus|plus de messages|stop",
    "it": "ferma|cancellami|disiscrivimi|disiscriviti|annulla iscrizione|disiscrizione"
    "|non scrivetemi|non scrivetemi più|basta messaggi|stop",
    "pt": "parar|pare|sair da lista|cancelar inscrição|cancelar assinatura|descadastrar"
    "|me descadastre|não me escrevam|sem mais mensagens|stop",
    "tr": "dur|durdur|ret|abonelikten çık|aboneliği iptal et|listeden çık|mesaj atmayın|yazmayın",
    "pl": "stop|wypisz|wypisz mnie|wypisuję się|rezygnuję z subskrypcji|nie piszcie"
    "|nie piszcie do mnie",
    "ro": "stop|dezabonare|dezabonați-mă|nu mai scrieți",
    "nl": "stop|afmelden|uitschrijven|geen berichten meer",
    "cs": "stop|odhlásit|odhlásit se|nepište mi",
    "sr": "стоп|стани|одјави ме|odjavi me|ne pišite mi",
    "bg": "стоп|отписване|отпишете ме|не ми пишете",
    "el": "σταμάτα|σταματήστε|διαγραφή|απεγγραφή|μην μου γράφετε",
    "ar": "توقف|إيقاف|ايقاف|أوقف|إلغاء الاشتراك|الغاء الاشتراك|لا تراسلوني|لا ترسلوا لي",
    "he": "הסר|הסירו אותי|להסיר|עצור|ביטול מנוי|אל תכתבו לי",
    "fa": "لغو|لغو اشتراک|توقف|پیام ندهید",
    "hi": "रोकें|बंद करें|सदस्यता समाप्त करें|संदेश मत भेजो",
    "id": "berhenti|berhenti berlangganan|jangan kirim pesan",
    "vi": "dừng|hủy đăng ký|huỷ đăng ký|đừng nhắn tin",
    "th": "หยุด|ยกเลิกการสมัคร|เลิกติดตาม",
    "zh": "退订|停止|取消订阅",
    "ko": "수신거부|중지|구독 취소",
    "ja": "停止|配信停止|登録解除",
}
"""Opt-out phrases by language."""

OPT_IN = {
    "en": "start|unstop|subscribe|subscribe me|opt in|optin|resume messages",
    "ru": "старт|подписаться|подписка|подпишите|подпишите меня|возобновить рассылку"
    "|хочу получать рассылку|пишите мне",
    "kk": "бастау|жазылу|жазылғым келеді|маған жазыңыз",
    "uk": "старт|підписатися|підписатись|підпишіть мене|пишіть мені",
    "uz": "boshlash|бошлаш|obuna bo'lish|обуна бўлиш",
    "ky": "баштоо|жазылуу",
    "be": "старт|падпісацца",
    "az": "başla|abunə ol",
    "hy": "սկսել|բաժանորդագրվել",
    "ka": "დაწყება|გამოწერა",
    "de": "start|anmelden|abonnieren",
    "es": "iniciar|comenzar|suscribirme|suscribirse|alta|start",
    "fr": "démarrer|commencer|s'abonner|m'abonner|start",
    "it": "inizia|iscrivimi|iscriviti|start",
    "pt": "iniciar|começar|inscrever|me inscreva|start",
    "tr": "başla|başlat|abone ol",
    "pl": "start|zapisz mnie|subskrybuję",
    "ro": "start|abonare|abonează-mă",
    "nl": "start|aanmelden|abonneren",
    "cs": "start|přihlásit|přihlásit se k odběru",
    "sr": "старт|пријави ме|prijavi me",
    "bg": "старт|запишете ме",
    "el": "έναρξη|εγγραφή",
    "ar": "ابدأ|ابدا|اشتراك",
    "he": "התחל|הרשמה",
    "fa": "شروع|اشتراک",
    "hi": "शुरू करें|सदस्यता लें",
    "id": "mulai|berlangganan",
    "vi": "bắt đầu|đăng ký",
    "th": "เริ่ม|สมัคร",
    "zh": "开始|订阅",
    "ko": "시작|구독",
    "ja": "開始|登録",
}
"""Opt-in phrases by language."""

_LONGEST = 80


def plain(text: str) -> str:
    """Letters and digits alone, case-folded, words one space apart; what is above letters is lost.

    So that "Стоп!!!", "STOP." and "arrêt" are what they are without signs, emoji and accents.
    """
    folded = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", text).casefold())
    kept = [
        letter if letter.isalnum() else "" if letter in _INSIDE else " "
        for letter in folded
        if not unicodedata.category(letter).startswith("M")
    ]
    return " ".join("".join(kept).split())


_INSIDE = frozenset("'ʻʼ‘’`´")
"""Signs inside a word: without them it is still one."""


def _phrases(by_language: dict[str, str], says: int) -> dict[str, int]:
    return {plain(each): says for told in by_language.values() for each in told.split("|")}


PHRASES = _phrases(OPT_IN, IN) | _phrases(OPT_OUT, OUT)
"""What each phrase says."""


@lru_cache(maxsize=4096)
def said(text: str) -> int | None:
    """What a message says of marketing: ``OUT``, ``IN``, or ``None`` for any other message."""
    return PHRASES.get(plain(text)) if len(text) <= _LONGEST else None
