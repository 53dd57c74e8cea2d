package pages

import (
	"fmt"
	"maps"
	"strconv"
	"strings"
	"time"

	"golang.org/x/text/language"
)

// said is a sentence in every language. Literals leave out the field names, so that a
// sentence without a translation doesn't compile.
type said struct{ en, ko string }

// words are all that the pages say. {service}, {client}, {username}, {email}, {provider},
// {time} and {n} are filled in. Korean sentences put no particle after a name, because its form would
// depend on how the name sounds.
//
// No sentence may reveal whether an account exists, but to the owner of its password.
var words = together(signInWords, providerWords, accountWords)

func together(all ...map[string]said) map[string]said {
	words := map[string]said{}
	for _, some := range all {
		maps.Copy(words, some)
	}
	return words
}

// signInWords are what the pages say outside the account.
var signInWords = map[string]said{
	"languages":    {"Language", "언어"},
	"foot":         {"About {service}", "{service} 안내"},
	"foot.terms":   {"Terms", "이용약관"},
	"foot.privacy": {"Privacy", "개인정보처리방침"},
	"foot.support": {"Help", "고객 지원"},

	"back":      {"Back to sign-in", "로그인으로 돌아가기"},
	"wait":      {"One moment, then press again.", "잠시 후에 다시 눌러 주세요."},
	"signed_in": {"You are signed in as {username}.", "{username} 님으로 로그인되어 있습니다."},

	"field.username": {"Username", "아이디"},
	"field.name":     {"Username or e-mail address", "아이디 또는 이메일 주소"},
	"field.password": {"Password", "비밀번호"},
	"field.email":    {"E-mail address", "이메일 주소"},
	"field.show":     {"Show password", "비밀번호 표시"},
	"field.hide":     {"Hide password", "비밀번호 숨기기"},
	"field.optional": {"(optional)", "(선택)"},

	"login.title":    {"Sign in", "로그인"},
	"login.client":   {"Sign in to continue to {client}.", "{client} 앱을 계속 이용하려면 로그인해 주세요."},
	"login.to":       {"Sign in to manage your account.", "계정을 관리하려면 로그인해 주세요."},
	"login.continue": {"Continue as {username}", "{username} 님으로 계속하기"},
	"login.or":       {"or use another account", "또는 다른 계정으로 로그인"},
	"login.passkey":  {"Sign in with a passkey", "패스키로 로그인"},
	"login.button":   {"Sign in", "로그인"},
	"login.forgot":   {"Forgotten password?", "비밀번호를 잊으셨나요?"},
	"login.new":      {"New here?", "처음이신가요?"},
	"login.signup":   {"Create an account", "회원가입"},
	"login.due":      {"Address not confirmed yet?", "이메일 주소를 아직 확인하지 않으셨나요?"},

	"signup.title":         {"Create an account", "회원가입"},
	"signup.client":        {"Create an account to continue to {client}.", "{client} 앱을 이용하려면 계정을 만들어 주세요."},
	"signup.one_hint":      {"Fill in a username, an e-mail address or both.", "아이디와 이메일 주소 중 하나만 입력하셔도 됩니다."},
	"signup.email_hint":    {"You need it if you forget your password.", "비밀번호를 잊었을 때 필요합니다."},
	"signup.password_hint": {"A few words that are hard to guess. Spaces are fine.", "다른 사람이 짐작할 수 없는 단어 몇 개를 이어 보세요. 띄어쓰기도 됩니다."},
	"signup.button":        {"Sign up", "가입하기"},
	"signup.have":          {"Already have an account?", "이미 계정이 있으신가요?"},
	"signup.login":         {"Sign in", "로그인"},

	"consent.title":  {"Allow access?", "접근을 허용하시겠습니까?"},
	"consent.client": {"{client} asks for access to your account at {service}.", "{client} 앱이 {service} 계정에 접근하려고 합니다."},
	"consent.scopes": {"If you allow it, the application can", "허용하면 앱이 할 수 있는 일"},
	"consent.allow":  {"Allow", "허용"},
	"consent.deny":   {"Deny", "거부"},
	"consent.trust":  {"Allow it only if you trust this application.", "믿을 수 있는 앱일 때만 허용해 주세요."},

	"scope.openid":         {"know that it is you", "로그인한 회원이 누구인지 식별"},
	"scope.profile":        {"see your username and profile", "아이디와 프로필 조회"},
	"scope.email":          {"see your e-mail address", "이메일 주소 조회"},
	"scope.phone":          {"see your phone number", "전화번호 조회"},
	"scope.address":        {"see your postal address", "우편 주소 조회"},
	"scope.roles":          {"see which roles you have", "부여된 역할 조회"},
	"scope.groups":         {"see which groups you belong to", "소속 그룹 조회"},
	"scope.offline_access": {"keep its access while you are away", "앱을 사용하지 않는 동안에도 접근 유지"},

	// How strong a new password is. Each line fits a phone.
	"strength.0":        {"Very weak", "매우 약함"},
	"strength.1":        {"Weak", "약함"},
	"strength.2":        {"Fair", "보통"},
	"strength.3":        {"Strong", "강함"},
	"strength.4":        {"Very strong", "매우 강함"},
	"strength.short":    {"Use at least {n} characters.", "{n}자 이상 입력해 주세요."},
	"strength.more":     {"Add another word or two.", "단어를 한두 개 더 넣어 보세요."},
	"strength.personal": {"Leave out your name and address.", "이름과 이메일 주소는 빼 주세요."},
	"strength.keys":     {"Neighbouring keys are easy to guess.", "나란히 있는 글쇠는 짐작하기 쉽습니다."},
	"strength.repeat":   {"Repetitions are easy to guess.", "되풀이한 글자는 짐작하기 쉽습니다."},
	"strength.sequence": {"Sequences like abc are easy to guess.", "abc 같은 순서는 짐작하기 쉽습니다."},
	"strength.date":     {"Years and dates are easy to guess.", "연도와 날짜는 짐작하기 쉽습니다."},
	"strength.common":   {"Many people use this password.", "많은 사람이 쓰는 비밀번호입니다."},
	"strength.similar":  {"It is close to one that many people use.", "많은 사람이 쓰는 비밀번호와 비슷합니다."},
	"strength.word":     {"A single word is easy to guess.", "단어 하나는 짐작하기 쉽습니다."},
	"strength.name":     {"Names are easy to guess.", "이름은 짐작하기 쉽습니다."},

	"logout.title":  {"Sign out?", "로그아웃하시겠습니까?"},
	"logout.text":   {"You will be signed out of {service} in this browser.", "이 브라우저에서 {service} 계정이 로그아웃됩니다."},
	"logout.client": {"{client} would like to sign you out of {service} in this browser.", "{client} 앱이 이 브라우저에서 {service} 계정을 로그아웃하려고 합니다."},
	"logout.button": {"Sign out", "로그아웃"},
	"logout.stay":   {"Stay signed in", "로그인 상태 유지하기"},

	"renew.or":    {"or use a newer link", "또는 새로 받은 링크 사용하기"},
	"renew.other": {"Send it to another address", "다른 주소로 받기"},

	"factor.title":         {"One more step", "한 단계 더 확인합니다"},
	"factor.code":          {"Code from your authenticator app", "인증 앱의 코드"},
	"factor.code_hint":     {"Six digits, a new code every 30 seconds.", "6자리 숫자이며, 30초마다 바뀝니다."},
	"factor.recovery":      {"Recovery code", "복구 코드"},
	"factor.recovery_hint": {"One of the ten that you kept. Each works once.", "보관해 두신 열 개 중 하나를 입력해 주세요. 코드마다 한 번만 쓸 수 있습니다."},
	"factor.button":        {"Continue", "계속"},
	"factor.to_recovery":   {"Use a recovery code", "복구 코드 사용하기"},
	"factor.to_app":        {"Use your authenticator app", "인증 앱 사용하기"},
	"factor.passkey":       {"Use your passkey", "패스키 사용하기"},
	"factor.to_passkey":    {"Use your passkey", "패스키 사용하기"},
	"factor.no_passkeys":   {"Your account asks for a passkey, which this browser can’t use without JavaScript. Use a recovery code, or another browser.", "이 계정은 패스키를 확인합니다. 이 브라우저에서는 JavaScript 없이 패스키를 쓸 수 없으니 복구 코드나 다른 브라우저를 사용해 주세요."},
	"passkey.failed":       {"The passkey was not used. Try again, or take another way.", "패스키를 사용하지 못했습니다. 다시 시도하시거나 다른 방법을 이용해 주세요."},
	"passkey.there":        {"This device has a passkey for your account already.", "이 기기에는 이 계정의 패스키가 이미 있습니다."},
	"factor.begin":         {"Sign in again", "다시 로그인하기"},
	"factor.remember":      {"Don’t ask again in this browser", "이 브라우저에서는 다시 묻지 않기"},
	"factor_enrol.title":   {"Protect your account", "계정을 안전하게 보호하세요"},
	"enrol.text":           {"{service} asks you for a second step at each sign-in. Please set it up now.", "{service}에 로그인하려면 2단계 인증이 필요합니다. 지금 설정해 주세요."},
	"enrol.or":             {"or an authenticator app", "또는 인증 앱"},
	"enrol.codes":          {"Your second step is set up, and you are signed in.", "2단계 인증이 설정되었고, 로그인되었습니다."},

	"forgot.title":  {"Forgotten password", "비밀번호 찾기"},
	"forgot.text":   {"We'll mail you a link to set a new one.", "새 비밀번호를 설정할 수 있는 링크를 메일로 보내 드립니다."},
	"forgot.button": {"Send the link", "링크 보내기"},

	"reset.title":         {"New password", "새 비밀번호 설정"},
	"reset.password":      {"New password", "새 비밀번호"},
	"reset.password_hint": {"You will be signed out everywhere.", "설정하고 나면 모든 기기에서 로그아웃됩니다."},
	"reset.button":        {"Set password", "비밀번호 설정"},
	"reset.again":         {"Send another link", "링크 다시 받기"},

	"verify.title":  {"Confirm your address", "이메일 주소 확인"},
	"verify.text":   {"Confirm that the address is yours.", "본인의 이메일 주소가 맞으면 확인을 눌러 주세요."},
	"verify.button": {"Confirm", "확인"},

	"again.title":   {"Confirmation by mail", "이메일 주소 확인 메일"},
	"again.text":    {"We'll mail you another link that confirms the address of your new account. If you were changing the address of an account, ask for the change again instead.", "새로 만드신 계정의 이메일 주소를 확인하는 링크를 다시 보내 드립니다. 기존 계정의 이메일 주소를 변경하시던 중이었다면 변경을 다시 요청해 주세요."},
	"again.button":  {"Send the confirmation again", "확인 메일 다시 보내기"},
	"again.another": {"Send another link", "링크 다시 받기"},

	"mailed_link":      {"Link from the mail", "메일로 받은 링크"},
	"mailed_link.hint": {"Copy the whole link from the mail and paste it here.", "메일에 있는 링크 전체를 복사해 여기에 붙여 넣어 주세요."},

	"preview.title": {"Preview", "미리보기"},
	"preview.text":  {"Every page and letter in every state, for developers. Nothing acts here.", "개발자를 위해 모든 페이지와 메일을 상태별로 보여 줍니다. 여기서는 아무것도 실행되지 않습니다."},

	"form_post.title":  {"One moment", "잠시만 기다려 주세요"},
	"form_post.text":   {"You are going back to the application.", "앱으로 돌아가는 중입니다."},
	"form_post.client": {"You are going back to {client}.", "{client} 앱으로 돌아가는 중입니다."},
	"form_post.button": {"Continue", "계속하기"},

	// What went wrong with a form.
	"error.prefix":                    {"Error:", "오류:"},
	"error.fields":                    {"Please correct what is marked below.", "아래에 표시된 항목을 확인해 주세요."},
	"error.invalid_credentials":       {"The username or the password is wrong.", "아이디 또는 비밀번호가 올바르지 않습니다."},
	"error.invalid_credentials.email": {"The e-mail address or the password is wrong.", "이메일 주소 또는 비밀번호가 올바르지 않습니다."},
	"error.invalid_credentials.name":  {"The username, the e-mail address or the password is wrong.", "아이디, 이메일 주소 또는 비밀번호가 올바르지 않습니다."},
	"error.wrong_code":                {"This code is wrong, or was used before. Enter the code that your app shows now.", "코드가 올바르지 않거나 이미 사용되었습니다. 지금 앱에 표시된 코드를 입력해 주세요."},
	"error.bad_passkey":               {"The passkey didn’t work here. Try again, or take another way.", "이 패스키로는 확인할 수 없습니다. 다시 시도하시거나 다른 방법을 이용해 주세요."},
	"error.factor_not_offered":        {"This can’t be set up here.", "여기서는 설정할 수 없습니다."},
	"error.too_many_factors":          {"You have as many apps and passkeys as an account may have. Remove one first.", "인증 앱이나 패스키를 더 추가할 수 없습니다. 먼저 하나를 삭제해 주세요."},
	"error.last_way_in":               {"You would have no way left to sign in. Set up another first.", "로그인할 수 있는 방법이 남지 않습니다. 다른 방법을 먼저 추가해 주세요."},
	"error.factor_required":           {"You must have a second step. Set up another app or passkey before you remove this one.", "2단계 인증은 필수입니다. 다른 앱이나 패스키를 먼저 추가한 다음 삭제해 주세요."},
	"error.bad_challenge":             {"Your sign-in took too long, or was finished already. Please sign in again.", "로그인 시간이 지났거나 이미 완료되었습니다. 다시 로그인해 주세요."},
	"error.other_account":             {"Another account has signed in to this browser since this page was opened. Continue with it, or sign in with yours.", "이 페이지를 연 뒤에 이 브라우저에서 다른 계정이 로그인했습니다. 그 계정으로 계속하시거나 원하는 계정으로 로그인해 주세요."},
	"error.email_not_verified":        {"Your e-mail address isn't confirmed yet. Follow the link in the mail that we sent you, then sign in.", "이메일 주소가 아직 확인되지 않았습니다. 보내 드린 메일의 링크로 주소를 확인하신 다음 로그인해 주세요."},
	"error.account_disabled":          {"This account is disabled. Please ask the people who run {service}.", "사용이 중지된 계정입니다. {service} 운영자에게 문의해 주세요."},
	"error.throttled":                 {"Too many attempts. Try again in {time}.", "시도 횟수가 너무 많습니다. {time} 후에 다시 시도해 주세요."},
	"error.busy":                      {"The server is too busy at the moment. Try again shortly.", "지금은 접속이 많아 처리하지 못했습니다. 잠시 후에 다시 시도해 주세요."},
	"error.internal":                  {"Something went wrong on our side. Try again.", "서버에 문제가 생겼습니다. 다시 시도해 주세요."},
	"error.bad_token":                 {"This link has been used or is too old. Ask for another one.", "이미 사용했거나 기간이 지난 링크입니다. 링크를 다시 받아 주세요."},
	"error.missing_fields":            {"Please fill in all fields.", "빈칸을 모두 채워 주세요."},

	// What is wrong with a field, by the code of package input.
	"wrong.required":                 {"Please fill this in.", "이 항목을 입력해 주세요."},
	"wrong.too_short":                {"This is too short.", "너무 짧습니다."},
	"wrong.too_long":                 {"This is too long.", "너무 깁니다."},
	"wrong.invalid":                  {"This isn't valid.", "올바르지 않은 값입니다."},
	"wrong.invalid_characters":       {"This has characters that can't be used.", "사용할 수 없는 문자가 있습니다."},
	"wrong.not_allowed":              {"This can't be used.", "사용할 수 없는 값입니다."},
	"wrong.taken":                    {"Another account already has this.", "다른 계정에서 이미 사용하고 있습니다."},
	"wrong.name.required":            {"Please enter a username or an e-mail address.", "아이디 또는 이메일 주소를 입력해 주세요."},
	"wrong.username.required":        {"Please enter a username.", "아이디를 입력해 주세요."},
	"wrong.username.taken":           {"This username is taken.", "이미 사용 중인 아이디입니다."},
	"wrong.email.required":           {"Please enter an e-mail address.", "이메일 주소를 입력해 주세요."},
	"wrong.email.invalid":            {"This has to be an address like name@example.com.", "name@example.com 형식의 주소를 입력해 주세요."},
	"wrong.email.invalid_characters": {"We can send mail only to addresses that have plain Latin letters before the @.", "@ 앞부분이 영문자, 숫자, 기호로 된 주소로만 메일을 보낼 수 있습니다."},
	"wrong.email.taken":              {"This address belongs to another account.", "다른 계정에 등록된 주소입니다."},
	"wrong.password.required":        {"Please enter a password.", "비밀번호를 입력해 주세요."},
	"wrong.password.too_short":       {"The password must have at least {n} characters.", "비밀번호는 {n}자 이상이어야 합니다."},
	"wrong.too_common":               {"Many people use this password, so attackers guess it first. Choose another one.", "많은 사람이 쓰는 비밀번호여서 쉽게 추측할 수 있습니다. 다른 비밀번호를 입력해 주세요."},
	"wrong.contains_personal":        {"The password must not contain the username, the e-mail address or the name of this service.", "비밀번호에는 아이디, 이메일 주소, 서비스 이름을 넣을 수 없습니다."},

	// What a Message says.
	"message.mail_waits": {"Mail can't be sent at the moment. We keep trying, and it goes out as soon as it can.", "지금은 메일을 보낼 수 없습니다. 계속 시도하고 있으며, 가능해지는 대로 보내 드리겠습니다."},

	"onward.app":     {"Back to {client}", "{client} 앱으로 돌아가기"},
	"onward.client":  {"Continue to {client}", "{client} 앱 계속 이용하기"},
	"onward.home":    {"Continue to {service}", "{service} 계속 이용하기"},
	"onward.login":   {"Go to sign-in", "로그인으로 가기"},
	"onward.me":      {"Go to your account", "내 계정으로 가기"},
	"message.detail": {"For the developers:", "개발자용 정보:"},

	"message.invalid_request.title":      {"Invalid request", "잘못된 요청입니다"},
	"message.invalid_request.text":       {"The application sent you here with a request that isn't valid. Please tell the people who run it.", "앱에서 보낸 요청이 올바르지 않습니다. 앱 운영자에게 알려 주세요."},
	"message.unknown_client.title":       {"Unknown application", "등록되지 않은 앱입니다"},
	"message.unknown_client.text":        {"The application that sent you here isn't registered with {service}.", "요청을 보낸 앱이 {service}에 등록되어 있지 않습니다."},
	"message.invalid_redirect_uri.title": {"Invalid return address", "돌아갈 주소가 올바르지 않습니다"},
	"message.invalid_redirect_uri.text":  {"The application asked us to send you to an address that isn't registered for it. For your safety, we stopped here.", "앱에 등록되지 않은 주소로 이동하려는 요청입니다. 안전을 위해 여기에서 멈췄습니다."},
	"message.expired.title":              {"Too much time has passed", "시간이 지났습니다"},
	"message.expired.text":               {"Please go back to the application and start again.", "앱으로 돌아가 처음부터 다시 시작해 주세요."},
	"message.origin.title":               {"Request from another site", "다른 곳에서 온 요청입니다"},
	"message.origin.text":                {"Another site sent this form in your name. We did not act on it.", "다른 사이트에서 회원님 대신 보낸 요청이어서 처리하지 않았습니다."},
	"message.mail_sent.title":            {"Check your mail", "메일을 확인해 주세요"},
	"message.mail_sent.text":             {"If such an account exists and has an address, a link is on its way there, or one that still works was mailed in the last minutes. If none arrives, look among the spam, then ask again.", "입력하신 정보와 일치하고 이메일 주소가 등록된 계정이 있으면 그 주소로 링크를 보내 드립니다. 몇 분 안에 이미 받으신 링크가 있으면 그 링크를 사용하실 수 있습니다. 메일이 오지 않으면 스팸함을 확인하신 뒤 다시 요청해 주세요."},
	"message.verify_sent.title":          {"Check your mail", "메일을 확인해 주세요"},
	"message.verify_sent.text":           {"We are sending a link to {email}. Follow it to confirm your address, then sign in. If none arrives, look among the spam and check that the address is right.", "{email} 주소로 링크를 보내 드립니다. 받으신 링크로 이메일 주소를 확인하신 다음 로그인해 주세요. 메일이 오지 않으면 스팸함을 살펴보시고 주소가 맞는지 확인해 주세요."},
	"message.verify_again.title":         {"Check your mail", "메일을 확인해 주세요"},
	"message.verify_again.text":          {"If this account has an address to confirm, a link is on its way there, or one that still works was mailed in the last minutes. If none arrives, look among the spam, then ask again.", "확인할 이메일 주소가 있는 계정이면 그 주소로 링크를 보내 드립니다. 몇 분 안에 이미 받으신 링크가 있으면 그 링크를 사용하실 수 있습니다. 메일이 오지 않으면 스팸함을 확인하신 뒤 다시 요청해 주세요."},
	"message.verified.title":             {"E-mail address confirmed", "이메일 주소가 확인되었습니다"},
	"message.verified.text":              {"Thank you. You can continue where you left off.", "감사합니다. 하시던 일을 계속하시면 됩니다."},
	"message.password_set.title":         {"Password changed", "비밀번호가 변경되었습니다"},
	"message.password_set.text":          {"Sign in with the new one from now on.", "이제 새 비밀번호로 로그인해 주세요."},
	"message.already_verified.title":     {"Already confirmed", "이미 확인되었습니다"},
	"message.already_verified.text":      {"This link has confirmed your address before. You can continue where you left off.", "이 링크로 이메일 주소가 이미 확인되었습니다. 하시던 일을 계속하시면 됩니다."},
	"message.already_set.title":          {"Password already changed", "비밀번호가 이미 변경되었습니다"},
	"message.already_set.text":           {"This link has set the password before. Sign in with the new one.", "이 링크로 비밀번호를 이미 변경하셨습니다. 새 비밀번호로 로그인해 주세요."},
	"message.signed_in_late.title":       {"You are signed in", "로그인되었습니다"},
	"message.signed_in_late.text":        {"Too much time has passed since the application sent you here. Go back to it and start again; it won't ask for your password.", "앱에서 이 페이지로 온 뒤 시간이 많이 지났습니다. 앱으로 돌아가 다시 시작해 주세요. 비밀번호는 다시 입력하지 않아도 됩니다."},
	"message.signed_out.title":           {"Signed out", "로그아웃되었습니다"},
	"message.signed_out.text":            {"You are signed out of {service} in this browser.", "이 브라우저에서 {service} 계정이 로그아웃되었습니다."},
	"message.deleted.title":              {"Your account is deleted", "계정이 삭제되었습니다"},
	"message.deleted.text":               {"It is gone with everything that {service} kept about it. Thank you for your time with us.", "{service}에 보관되어 있던 회원님의 정보도 모두 삭제되었습니다. 그동안 이용해 주셔서 감사합니다."},
	"message.not_found.title":            {"Page not found", "페이지를 찾을 수 없습니다"},
	"message.not_found.text":             {"There is no page at this address. The link may be incomplete or out of date.", "이 주소에는 페이지가 없습니다. 링크가 잘렸거나 오래된 것일 수 있습니다."},
	"message.not_a_page.title":           {"Not a page", "열 수 있는 페이지가 아닙니다"},
	"message.not_a_page.text":            {"This address is for applications. There is nothing to see here.", "앱이 사용하는 주소여서 볼 수 있는 내용이 없습니다."},
	"message.login_first.title":          {"Please sign in first", "먼저 로그인해 주세요"},
	"message.login_first.text":           {"This address shows something only to users who are signed in.", "로그인한 회원만 볼 수 있는 주소입니다."},
	"message.refused.title":              {"Not possible", "처리할 수 없는 요청입니다"},
	"message.refused.text":               {"The server can't do what this request asks for.", "서버가 이 요청을 처리하지 않았습니다."},
	"message.internal.title":             {"Something went wrong", "문제가 생겼습니다"},
	"message.internal.text":              {"The fault is on our side. Please try again later.", "서버에 문제가 생겼습니다. 나중에 다시 시도해 주세요."},
	"message.unavailable.title":          {"Not possible at the moment", "지금은 이용할 수 없습니다"},
	"message.unavailable.text":           {"Please try again shortly.", "잠시 후에 다시 시도해 주세요."},
	"message.mail_off.title":             {"Mail is turned off", "메일을 보낼 수 없습니다"},
	"message.mail_off.text":              {"{service} sends no mail. Please ask the people who run it.", "{service}에서는 메일을 보내지 않습니다. 운영자에게 문의해 주세요."},
	"message.signup_off.title":           {"Sign-up is closed", "회원가입을 받지 않습니다"},
	"message.signup_off.text":            {"Only the people who run {service} create accounts.", "{service} 계정은 운영자가 만들어 드립니다."},

	"time.soon":    {"a moment", "잠시"},
	"time.second":  {"1 second", "1초"},
	"time.seconds": {"{n} seconds", "{n}초"},
	"time.minute":  {"1 minute", "1분"},
	"time.minutes": {"{n} minutes", "{n}분"},
}

// Languages are the languages of words.
var Languages = []string{"en", "ko"}

// names are the languages' names, each in its own.
var names = map[string]string{"en": "English", "ko": "한국어"}

var matcher = language.NewMatcher([]language.Tag{language.English, language.Korean}) // in the order of Languages

// Language returns the language that comes closest to what the reader prefers. preferred
// is an Accept-Language or a list of languages as in ui_locales. If none of ours fits,
// Language returns "en".
func Language(preferred string) string {
	if !strings.ContainsAny(preferred, ",;") {
		preferred = strings.Join(strings.Fields(preferred), ",")
	}
	tags, _, err := language.ParseAcceptLanguage(preferred)
	if err != nil {
		return "en"
	}
	_, i, _ := matcher.Match(tags...)
	return Languages[i]
}

// known returns the code if there are words for it, and else "internal".
func known(before, code, after string) string {
	if _, there := words[before+code+after]; !there {
		return "internal"
	}
	return code
}

// raw returns a sentence before it is filled in.
func (v view) raw(key string) (string, error) {
	s, there := words[key]
	if !there {
		return "", fmt.Errorf("there are no words for %q", key)
	}
	if v.Language == "ko" {
		return s.ko, nil
	}
	return s.en, nil
}

// A part is a piece of a sentence. A name is text that a user or an operator chose; the
// page keeps it from reversing the words around it.
type part struct {
	Text string
	Name bool
}

// Parts returns a sentence, filled in.
func (v view) Parts(key string) ([]part, error) {
	rest, err := v.raw(key)
	if err != nil {
		return nil, err
	}
	var all []part
	for rest != "" {
		before, after, found := strings.Cut(rest, "{")
		if before != "" {
			all = append(all, part{Text: before})
		}
		if !found {
			break
		}
		name, after, _ := strings.Cut(after, "}")
		value, err := v.fill(name)
		if err != nil {
			return nil, err
		}
		all = append(all, value)
		rest = after
	}
	return all, nil
}

// Say returns a sentence as plain text, filled in.
func (v view) Say(key string) (string, error) {
	parts, err := v.Parts(key)
	var text strings.Builder
	for _, p := range parts {
		text.WriteString(p.Text)
	}
	return text.String(), err
}

// fill returns what replaces a name in braces.
func (v view) fill(name string) (part, error) {
	switch name {
	case "service":
		return part{v.Service, true}, nil
	case "client":
		return part{v.Client, true}, nil
	case "username":
		return part{v.Who(), true}, nil
	case "email":
		return part{v.Email, true}, nil
	case "provider":
		return part{v.Provider, true}, nil
	case "time":
		text, err := v.duration()
		return part{Text: text}, err
	case "n":
		return part{Text: strconv.Itoa(v.MinLength)}, nil
	default:
		return part{}, fmt.Errorf("there is no {%s} to fill in", name)
	}
}

// duration returns the wait in words, rounded up, so that the server doesn't turn away a
// user who comes back then.
func (v view) duration() (string, error) {
	n, unit := int((v.Retry+time.Second-1)/time.Second), "second"
	if n > 60 {
		n, unit = int((v.Retry+time.Minute-1)/time.Minute), "minute"
	}
	if n <= 0 {
		return v.Say("time.soon")
	}
	if n != 1 {
		unit += "s"
	}
	s, err := v.raw("time." + unit)
	return strings.ReplaceAll(s, "{n}", strconv.Itoa(n)), err
}
