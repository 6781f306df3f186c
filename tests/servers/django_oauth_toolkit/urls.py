"""Where its pages are."""

from django.contrib.auth.views import LoginView
from django.urls import include, path

urlpatterns = [
    path("sign-in", LoginView.as_view()),
    path("o/", include("oauth2_provider.urls")),
]
