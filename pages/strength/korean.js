// Korean words that are guessed first, as they are and as a Korean keyboard types them with
// English letters on.

export default [
  "비밀번호", "qlalfqjsgh", "안녕하세요", "dkssudgktpdy", "사랑해요", "tkfkdgody", "사랑해", "tkfkdgo",
  "대한민국", "eogksalsrnr", "안녕", "dkssud", "관리자", "rhksflwk", "비번", "qlqjs", "아이디", "dkdlel",
  "암호", "dkagh", "행복", "godqhr", "한국", "gksrnr", "서울", "tjdnf", "부산", "qntks", "엄마", "djaak",
  "아빠", "dkqk", "친구", "clsrn", "학교", "gkrry", "회사", "ghltk", "천사", "cjstk", "바보", "qkqh",
  "고양이", "rhdiddl", "강아지", "rkddkwl", "하늘", "gksmf", "바다", "qkek", "나무", "skan", "사람", "tkfka",
  "우리", "dnfl", "미래", "alfo", "희망", "gmlakd", "사랑", "tkfkd", "가족", "rkwhr",
  "감사합니다", "rkatkgkqslek", "최고", "chlrh", "공주", "rhdwn", "왕자", "dhkdwk", "남편", "skavus",
  "아내", "dkso", "여보", "duqh", "자기야", "wkrldi", "로그인", "fhrmdls", "테스트", "xptmxm",
  "홍길동", "ghdrlfehd", "김치", "rlacl", "커피", "zjvl", "축구", "cnrrn", "야구", "dirn", "여행", "dugod",
  "음악", "dmadkr", "대박", "eoqkr",
];
