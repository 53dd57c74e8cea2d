package mail

import (
	"fmt"
	"strings"
	"time"

	"golang.org/x/text/language"
)

// words are the words of a letter: the paragraphs before its link, the link's label,
// and the paragraphs after the link. Facts come before then.
type words struct {
	subject string
	before  []string
	then    []string
	action  string
	after   []string
}

// A tongue is a language that letters are written in.
type tongue struct {
	code     string
	tag      language.Tag
	duration func(time.Duration) string
	moment   func(time.Time) string // of a time in UTC
	device   func(label string) string
	links    map[string]string // labels of the operator's links, by their names

	when, browser, address, unknown string // what the facts of a sign-in are called
	letters                         map[Kind]words
}

// tongues are all the languages. Readers who prefer none of them get the first.
var tongues = []tongue{english, korean}

var matcher = func() language.Matcher {
	tags := make([]language.Tag, len(tongues))
	for i, t := range tongues {
		tags[i] = t.tag
	}
	return language.NewMatcher(tags)
}()

var english = tongue{
	code: "en",
	tag:  language.English,
	duration: func(d time.Duration) string {
		n, unit := int(d/time.Minute), "minute"
		if n >= 60 {
			n, unit = int(d/time.Hour), "hour"
		}
		if n != 1 {
			unit += "s"
		}
		return fmt.Sprintf("%d %s", n, unit)
	},
	moment:  func(at time.Time) string { return at.Format("2 January 2006, 15:04 UTC") },
	device:  func(label string) string { return label },
	when:    "When",
	browser: "Browser or app",
	address: "IP address",
	unknown: "unknown",
	links:   map[string]string{"terms": "Terms", "privacy": "Privacy", "support": "Help"},
	letters: map[Kind]words{
		VerifyEmail: {
			subject: "Confirm your e-mail address",
			before:  []string{"The account {username} at {service} was created with this address. Please confirm that the address is yours."},
			action:  "Confirm my address",
			after:   []string{"The link works once, for {time}.", "If you didn't create this account, there is nothing you need to do."},
		},
		ChangeEmail: {
			subject: "Confirm your new e-mail address",
			before:  []string{"The account {username} at {service} will use this address once you confirm that it is yours."},
			action:  "Confirm my new address",
			after:   []string{"The link works once, for {time}.", "If you didn't ask for this, there is nothing you need to do."},
		},
		ResetPassword: {
			subject: "Set a new password",
			before:  []string{"We received a request to set a new password for the account {username} at {service}."},
			action:  "Set a new password",
			after:   []string{"The link works once, for {time}.", "If you didn't ask for this, there is nothing you need to do: your password stays as it is."},
		},
		EmailChangeAsked: {
			subject: "Your e-mail address is about to change",
			before: []string{
				"The account {username} at {service} will use another e-mail address once that address is confirmed. If you asked for this, there is nothing you need to do.",
				"If you didn't, another person may know your password or use a device on which you are signed in. Please set a new password now: that stops the change and signs out everywhere.",
			},
			action: "Set a new password",
		},
		EmailChanged: {
			subject: "Your e-mail address was changed",
			before: []string{
				"The account {username} at {service} uses another e-mail address now. This is the last message to this one.",
				"If you didn't change it, another person may be using your account: please tell {service}.",
			},
		},
		PasswordChanged: {
			subject: "Your password was changed",
			before: []string{
				"The password of the account {username} at {service} was changed, and its other sessions were signed out.",
				"If you didn't change it, another person may be using your account: please set a new password now, as if you had forgotten it.",
			},
		},
		AlreadyRegistered: {
			subject: "You already have an account",
			before: []string{
				"We received a request to use this address for another account at {service}. It already belongs to the account {username}.",
				"If you forgot the password, you can set a new one there. If this wasn't you, there is nothing you need to do.",
			},
		},
		NewBrowser: {
			subject: "New sign-in to your account",
			before:  []string{"A new browser or app has signed in to the account {username} at {service}."},
			then: []string{
				"If this was you, there is nothing you need to do.",
				"If it wasn't, another person may know your password. Please set a new password now: that signs out everywhere.",
			},
			action: "Set a new password",
		},
		FactorAdded: {
			subject: "A second step was added to your account",
			before: []string{
				"A second step for signing in was set up for the account {username} at {service}. If this was you, there is nothing you need to do.",
				"If it wasn't, another person may know your password. Please set a new password now, then remove the second step under Security in your account; if you can't get in, tell {service}.",
			},
			action: "Set a new password",
		},
		FactorRemoved: {
			subject: "A second step was removed from your account",
			before: []string{
				"A second step for signing in was removed from the account {username} at {service}. If this was you, there is nothing you need to do.",
				"If it wasn't, another person may be using your account. Please set a new password now: that signs out everywhere.",
			},
			action: "Set a new password",
		},
		FactorsReset: {
			subject: "Your second step was reset",
			before: []string{
				"{service} has removed every second step and all recovery codes from the account {username}. If you asked for this, please set up a second step again.",
				"If you didn't, please tell {service}. A new password keeps out a person who knows yours.",
			},
			action: "Set a new password",
		},
		RecoveryCodesRenewed: {
			subject: "You have new recovery codes",
			before: []string{
				"New recovery codes were made for the account {username} at {service}. The former ones work no more. If this was you, there is nothing you need to do.",
				"If it wasn't, another person may be using your account. Please set a new password now: that signs out everywhere.",
			},
			action: "Set a new password",
		},
		RecoveryCodeUsed: {
			subject: "A recovery code was used",
			before: []string{
				"One of your recovery codes was used to sign in to the account {username} at {service}. It works no more. If this was you, there is nothing you need to do.",
				"If it wasn't, another person knows your password and your recovery codes. Please set a new password now, and make new recovery codes.",
			},
			action: "Set a new password",
		},
		PasswordRemoved: {
			subject: "Your password was removed",
			before: []string{
				"The account {username} at {service} has no password any more, and its other sessions were signed out. You sign in another way. If this was you, there is nothing you need to do.",
				"If it wasn't, another person may be using your account. Please set a new password now: that signs out everywhere.",
			},
			action: "Set a new password",
		},
		IdentityLinked: {
			subject: "Another way to sign in was added",
			before: []string{
				"The account {username} at {service} can be signed in to with {provider} from now on.",
				"If you didn't add this, another person may be using your account: please set a new password now, then remove {provider} under Security in your account.",
			},
			action: "Set a new password",
		},
		IdentityUnlinked: {
			subject: "A way to sign in was removed",
			before: []string{
				"The account {username} at {service} can't be signed in to with {provider} any more, and its other sessions were signed out.",
				"If you didn't remove it, another person may be using your account. Please set a new password now: that signs out everywhere.",
			},
			action: "Set a new password",
		},
	},
}

var korean = tongue{
	code: "ko",
	tag:  language.Korean,
	duration: func(d time.Duration) string {
		if d < time.Hour {
			return fmt.Sprintf("%d분", int(d/time.Minute))
		}
		return fmt.Sprintf("%d시간", int(d/time.Hour))
	},
	moment: func(at time.Time) string { return at.Format("2006년 1월 2일 15:04 (UTC)") },
	device: func(label string) string {
		if name, system, both := strings.Cut(label, " on "); both {
			return system + "의 " + name
		}
		return label
	},
	when:    "시각",
	browser: "브라우저 또는 앱",
	address: "IP 주소",
	unknown: "알 수 없음",
	links:   map[string]string{"terms": "이용약관", "privacy": "개인정보처리방침", "support": "고객 지원"},
	letters: map[Kind]words{
		VerifyEmail: {
			subject: "이메일 주소를 확인해 주세요",
			before:  []string{"이 주소로 {service}에 {username} 계정이 만들어졌습니다. 본인의 주소가 맞는지 확인해 주십시오."},
			action:  "내 주소 확인하기",
			after:   []string{"이 링크는 {time} 동안 한 번만 사용할 수 있습니다.", "직접 만든 계정이 아니라면 아무것도 하지 않으셔도 됩니다."},
		},
		ChangeEmail: {
			subject: "새 이메일 주소를 확인해 주세요",
			before:  []string{"{service}의 {username} 계정이 앞으로 이 주소를 사용하려고 합니다. 본인의 주소가 맞는지 확인해 주십시오."},
			action:  "새 주소 확인하기",
			after:   []string{"이 링크는 {time} 동안 한 번만 사용할 수 있습니다.", "직접 요청하지 않으셨다면 아무것도 하지 않으셔도 됩니다."},
		},
		ResetPassword: {
			subject: "새 비밀번호를 설정해 주세요",
			before:  []string{"{service}의 {username} 계정에 새 비밀번호를 설정하려는 요청이 있었습니다."},
			action:  "새 비밀번호 설정하기",
			after:   []string{"이 링크는 {time} 동안 한 번만 사용할 수 있습니다.", "직접 요청하지 않으셨다면 아무것도 하지 않으셔도 됩니다. 비밀번호는 그대로 유지됩니다."},
		},
		EmailChangeAsked: {
			subject: "이메일 주소가 곧 변경됩니다",
			before: []string{
				"{service}의 {username} 계정이 새 이메일 주소를 사용하려고 합니다. 새 주소가 확인되면 변경됩니다. 직접 요청하셨다면 아무것도 하지 않으셔도 됩니다.",
				"직접 요청하지 않으셨다면 다른 사람이 비밀번호를 알고 있거나 로그인된 기기를 사용하고 있을 수 있습니다. 지금 새 비밀번호를 설정해 주십시오. 그러면 변경이 취소되고 모든 기기에서 로그아웃됩니다.",
			},
			action: "새 비밀번호 설정하기",
		},
		EmailChanged: {
			subject: "이메일 주소가 변경되었습니다",
			before: []string{
				"{service}의 {username} 계정이 이제 다른 이메일 주소를 사용합니다. 이 주소로 보내는 마지막 메일입니다.",
				"직접 변경하지 않으셨다면 다른 사람이 계정을 사용하고 있을 수 있습니다. {service}에 알려 주십시오.",
			},
		},
		PasswordChanged: {
			subject: "비밀번호가 변경되었습니다",
			before: []string{
				"{service}의 {username} 계정 비밀번호가 변경되었고, 다른 기기에서는 로그아웃되었습니다.",
				"직접 변경하지 않으셨다면 다른 사람이 계정을 사용하고 있을 수 있습니다. 비밀번호 찾기로 지금 새 비밀번호를 설정해 주십시오.",
			},
		},
		AlreadyRegistered: {
			subject: "이미 계정이 있습니다",
			before: []string{
				"{service}에서 이 주소로 다른 계정을 사용하려는 시도가 있었습니다. 이 주소는 이미 {username} 계정에 등록되어 있습니다.",
				"비밀번호를 잊으셨다면 새 비밀번호를 설정하실 수 있습니다. 본인이 아니라면 아무것도 하지 않으셔도 됩니다.",
			},
		},
		NewBrowser: {
			subject: "새 브라우저에서 로그인되었습니다",
			before:  []string{"{service}의 {username} 계정이 새 브라우저 또는 앱에서 로그인되었습니다."},
			then: []string{
				"직접 로그인하셨다면 아무것도 하지 않으셔도 됩니다.",
				"직접 로그인하지 않으셨다면 다른 사람이 비밀번호를 알고 있을 수 있습니다. 지금 새 비밀번호를 설정해 주십시오. 그러면 모든 기기에서 로그아웃됩니다.",
			},
			action: "새 비밀번호 설정하기",
		},
		FactorAdded: {
			subject: "계정에 2단계 인증이 추가되었습니다",
			before: []string{
				"{service}의 {username} 계정에 2단계 인증이 설정되었습니다. 직접 설정하셨다면 아무것도 하지 않으셔도 됩니다.",
				"직접 설정하지 않으셨다면 다른 사람이 비밀번호를 알고 있을 수 있습니다. 지금 새 비밀번호를 설정하신 다음 내 계정의 보안에서 그 2단계 인증을 삭제해 주십시오. 로그인할 수 없다면 {service}에 알려 주십시오.",
			},
			action: "새 비밀번호 설정하기",
		},
		FactorRemoved: {
			subject: "계정의 2단계 인증이 삭제되었습니다",
			before: []string{
				"{service}의 {username} 계정에서 2단계 인증이 삭제되었습니다. 직접 삭제하셨다면 아무것도 하지 않으셔도 됩니다.",
				"직접 삭제하지 않으셨다면 다른 사람이 계정을 사용하고 있을 수 있습니다. 지금 새 비밀번호를 설정해 주십시오. 그러면 모든 기기에서 로그아웃됩니다.",
			},
			action: "새 비밀번호 설정하기",
		},
		FactorsReset: {
			subject: "2단계 인증이 초기화되었습니다",
			before: []string{
				"{service}에서 {username} 계정의 2단계 인증과 복구 코드를 모두 삭제했습니다. 직접 요청하셨다면 2단계 인증을 다시 설정해 주십시오.",
				"직접 요청하지 않으셨다면 {service}에 알려 주십시오. 새 비밀번호를 설정하시면 지금의 비밀번호를 아는 사람은 로그인할 수 없습니다.",
			},
			action: "새 비밀번호 설정하기",
		},
		RecoveryCodesRenewed: {
			subject: "복구 코드가 새로 만들어졌습니다",
			before: []string{
				"{service}의 {username} 계정에 새 복구 코드가 만들어졌습니다. 이전 코드는 더 이상 쓸 수 없습니다. 직접 만드셨다면 아무것도 하지 않으셔도 됩니다.",
				"직접 만들지 않으셨다면 다른 사람이 계정을 사용하고 있을 수 있습니다. 지금 새 비밀번호를 설정해 주십시오. 그러면 모든 기기에서 로그아웃됩니다.",
			},
			action: "새 비밀번호 설정하기",
		},
		RecoveryCodeUsed: {
			subject: "복구 코드가 사용되었습니다",
			before: []string{
				"{service}의 {username} 계정에 로그인하는 데 복구 코드 하나가 사용되었습니다. 이 코드는 더 이상 쓸 수 없습니다. 직접 사용하셨다면 아무것도 하지 않으셔도 됩니다.",
				"직접 사용하지 않으셨다면 다른 사람이 비밀번호와 복구 코드를 알고 있는 것입니다. 지금 새 비밀번호를 설정하고 복구 코드를 새로 만들어 주십시오.",
			},
			action: "새 비밀번호 설정하기",
		},
		PasswordRemoved: {
			subject: "비밀번호가 삭제되었습니다",
			before: []string{
				"{service}의 {username} 계정 비밀번호가 삭제되었고, 다른 기기에서는 로그아웃되었습니다. 이제 다른 방법으로 로그인합니다. 직접 삭제하셨다면 아무것도 하지 않으셔도 됩니다.",
				"직접 삭제하지 않으셨다면 다른 사람이 계정을 사용하고 있을 수 있습니다. 지금 새 비밀번호를 설정해 주십시오. 그러면 모든 기기에서 로그아웃됩니다.",
			},
			action: "새 비밀번호 설정하기",
		},
		IdentityLinked: {
			subject: "새로운 로그인 방법이 추가되었습니다",
			before: []string{
				"이제 {provider} 계정으로도 {service}의 {username} 계정에 로그인할 수 있습니다.",
				"직접 추가하지 않으셨다면 다른 사람이 계정을 사용하고 있을 수 있습니다. 지금 새 비밀번호를 설정하신 다음, 내 계정의 보안에서 {provider} 연결을 해제해 주십시오.",
			},
			action: "새 비밀번호 설정하기",
		},
		IdentityUnlinked: {
			subject: "로그인 방법이 삭제되었습니다",
			before: []string{
				"이제 {provider} 계정으로는 {service}의 {username} 계정에 로그인할 수 없으며, 다른 기기에서는 로그아웃되었습니다.",
				"직접 해제하지 않으셨다면 다른 사람이 계정을 사용하고 있을 수 있습니다. 지금 새 비밀번호를 설정해 주십시오. 그러면 모든 기기에서 로그아웃됩니다.",
			},
			action: "새 비밀번호 설정하기",
		},
	},
}
