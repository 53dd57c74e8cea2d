"""Django: an application that signs users in with allauth, and an API with simplejwt."""

import django
from django.conf import settings

from settings import paste

settings.configure(
    ALLOWED_HOSTS=["127.0.0.1"],
    SECRET_KEY="a secret of this test that is long enough",
    ROOT_URLCONF=__name__,
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
    EMAIL_BACKEND="django.core.mail.backends.dummy.EmailBackend",
    INSTALLED_APPS=[
        "django.contrib.auth",
        "django.contrib.contenttypes",
        "django.contrib.messages",
        "django.contrib.sessions",
        "allauth",
        "allauth.account",
        "allauth.socialaccount",
        "allauth.socialaccount.providers.openid_connect",
    ],
    MIDDLEWARE=[
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.middleware.csrf.CsrfViewMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
        "django.contrib.messages.middleware.MessageMiddleware",
        "allauth.account.middleware.AccountMiddleware",
    ],
    TEMPLATES=[{
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {"context_processors": ["django.template.context_processors.request"]},
    }],
    AUTHENTICATION_BACKENDS=["allauth.account.auth_backends.AuthenticationBackend"],
    SOCIALACCOUNT_LOGIN_ON_GET=True,  # else it asks first whether to go on
    **{name: value for preset in ("django-allauth", "simplejwt") for name, value in paste(preset).items() if name.isupper()},
)
django.setup()

from django.core.management import call_command  # noqa: E402: the rest needs the settings
from django.core.wsgi import get_wsgi_application  # noqa: E402
from django.http import JsonResponse  # noqa: E402
from django.urls import include, path  # noqa: E402
from rest_framework.decorators import api_view, authentication_classes, permission_classes  # noqa: E402
from rest_framework.permissions import IsAuthenticated  # noqa: E402
from rest_framework.response import Response  # noqa: E402
from rest_framework_simplejwt.authentication import JWTStatelessUserAuthentication  # noqa: E402


def user(request):
    account = request.user.socialaccount_set.get()
    return JsonResponse({"subject": account.uid, "name": request.user.first_name, "email": request.user.email})


@api_view()
@authentication_classes([JWTStatelessUserAuthentication])
@permission_classes([IsAuthenticated])
def hello(request):
    return Response({"subject": request.user.id})


urlpatterns = [
    path("profile/", user),
    path("hello", hello),
    path("", include("allauth.urls")),
]

call_command("migrate", verbosity=0)
app = get_wsgi_application()
