/**
 * Passwords of at least eight characters that attackers try first: sequences, keyboard walks, defaults of software,
 * names, teams and words that every published list of leaked passwords has near its top. In lower case, NFKC.
 */
const words = `
!@#$%^&* !@#$%^&*() !q2w3e4r !qaz1qaz !qaz2wsx !qaz@wsx 00000000 000000000 0000000000 00112233 01010101 01020304
0102030405 010203040506 01234567 0123456789 0987654321 100200300 10101010 10203040 1020304050 102030405060 1029384756
11111111 111111111 1111111111 11112222 111222333 111222333444 11223344 1122334455 112233445566 12121212 1212121212
12131415 12312312 123123123 123123abc 123123qwe 123321123 12341234 12344321 123454321 1234554321 123456123
123456654321 12345677 12345678 123456780 123456788 123456789 1234567890 1234567891 12345678910 1234567899 123456789a
123456789q 123456789z 12345678a 12345678q 12345679 12345687 123456aa 123456ab 123456abc 123456as 123456qw 123456qwerty
12345abc 12345asd 12345qwe 12345qwert 1234abcd 1234asdf 1234qwer 123789456 123abc123 123asd123 123qwe123 123qwe456
123qweasd 123qweasdzxc 12qw34er 12qwaszx 12wq12wq 13131313 1314520a 13572468 13579246 135792468 1357924680 14141414
147147147 147258147 147258369 147852369 14789632 147896325 15151515 159159159 159357456 159753456 159951159 16161616
17171717 18181818 19191919 19283746 19841984 19871987 19901990 1a2b3c4d 1a2s3d4f 1passwor 1password 1q2w3e4r 1q2w3e4r!
1q2w3e4r5 1q2w3e4r5t 1q2w3e4r5t6y 1q2w3e4r5t6y7u8i9o0p 1qaz!qaz 1qaz1qaz 1qaz2wsx 1qaz2wsx3edc 1qaz2wsx3edc4rfv
1qaz@wsx 1qaz@wsx3edc 1qazxsw2 1qw23er4 1z2x3c4v 20202020 20212021 20222022 20232023 20242024 20252025 21212121
22222222 222333444 23456789 24681012 246813579 25252525 258258258 27182818 2wsx3edc 31415926 3141592654 321654987
32323232 33333333 333666999 34567890 3edc4rfv 44444444 45612378 456123789 456789123 5201314520 55555555 555555555
654321654321 66666666 666666666 69696969 74108520 741852963 753159456 7654321a 77777777 77777778 7777777a 78787878
78945612 789456123 80808080 852456852 87654321 88888888 888888888 90909090 951753852 963852741 987456321 98765432
987654321 9876543210 98989898 99999999 999999999 @dmin123 a1234567 a12345678 a123456789 a1b2c3d4 a1b2c3d4e5 a5201314
aa123456 aa12345678 aaa12345 aaaaaaaa aaaaaaaaa aaaaaaaaaa ab123456 abc12345 abc123456 abc1234567 abc12345678
abc123abc abc123def abc@1234 abc@12345 abcabc123 abcd1234 abcd12345 abcd123456 abcd@1234 abcde123 abcde12345 abcdef12
abcdef123 abcdefg1 abcdefg123 abcdefgh abcdefghi abcdefghij absolute access14 admin!@# admin001 admin007 admin123
admin123! admin1234 admin12345 admin123456 admin2020 admin2021 admin2022 admin2023 admin2024 admin2025 admin@123
admin@1234 adminadmin adminadmin1 adminadmin123 administrador administrator administrator1 administrator123 adminpass
adminpass1 adminpass123 adminpassword adrian123 adriana1 airforce airplane airplane1 alakazam alejandra alejandro
alessandro alexander alexandra alexis123 always123 amanda123 amorcito amsterdam andrew123 android1 angel123 angelica
angelina angelito anthony1 anthony123 antonio1 anything aquarius aragorn1 arsenal1 arsenal123 asd12345 asd123456
asdasdasd asdf1234 asdf12345 asdfasdf asdfg123 asdfg12345 asdfgh12 asdfgh123 asdfghjk asdfghjkl asdfghjkl1 asdqwe123
asdzxc123 ashley123 assassin assassins asshole1 asshole12 austin123 austin316 australia autumn2020 autumn2021
autumn2022 autumn2023 autumn2024 autumn2025 avengers azerty123 azerty12345 azertyui azertyuiop babyboy1 babydoll
babygirl babygirl1 babygirl12 babygirl123 babygirl13 babygirl2 babylove banana123 bananas1 barbara1 barcelona baseball
baseball1 baseball12 baseball123 baseball2 basketball basketball1 batman123 bbbbbbbb beatles1 beautiful beautiful1
believe1 benjamin berlin123 bestfriend beyonce1 bigmoney bismillah bitches1 black123 blackberry blackie1 blessed1
blessing blink182 blizzard blossom1 blowjob1 blueberry bluebird blueeyes bluesky1 boston123 boyfriend bradley1
brandon1 brianna1 britney1 brittany brittany1 broncos1 brooklyn bubblegum bulbasaur bulldog1 bulldogs bulldogs1
bullshit bumblebee business buttercup butterfly butterfly1 butthead california cameron1 candy123 candyman cannabis
capricorn captain1 carolina caroline cccccccc celtic1888 champion champions change123 change_me changeit1 changeit123
changeme changeme! changeme1 changeme12 changeme123 changethis charizard charlie! charlie1 charlie12 charlie123
charlie2 cheer123 cheerleader cheese123 cheesecake cheetah1 chelsea1 chelsea123 chicago1 chicken1 children1 china123
chocolat chocolate chocolate1 chrissy1 christian christina christmas christopher cinderella clave123 cloud123 cocacola
cocksucker coffee123 colombia computer computer1 computers concorde contrasena contraseña cookie123 cookies1
corinthians correcthorsebatterystaple corvette corvette1 counter1 courtney courtney1 cowboy123 cowboys1 creative
crocodile crystal1 cupcake1 cutiepie cynthia1 dallas123 dance123 dancer123 daniel123 danielle danielle1 darthvader
database dddddddd deadpool december default1 default123 defaultpassword demo1234 demodemo destiny1 deutschland
diablo123 diamond1 diamond123 diamonds dickhead digimon1 dinosaur director dolphin1 dolphins dominic1 dortmund
doudou123 dragon123 dragonball dragonballz dragonfly dragons1 drpepper eagles123 eastside eduardo1 edward123 einstein
elephant elizabeth elizabeth1 elvis123 emerald1 eminem123 engineer eternity everton1 everything example1 example123
facebook facebook1 faith123 fcbarcelona fenerbahce fernando ferrari1 ferrari123 feyenoord ffffffff fireball firebird
flower123 flowers1 football football! football1 football10 football12 football123 football2 football7 forever1
forgot123 fortnite francesco francis1 francisco freedom1 friend123 friendship fuckoff1 fuckyou! fuckyou1 fuckyou123
fuckyou2 fussball fussball1 gabriel1 gabriel123 gabriela galatasaray galaxy123 gamecube gandalf1 gandalf123 gangster
garfield geheim123 getmoney ghbdtn123 ginger123 giovanna giovanni giraffe1 girlfriend giuseppe godzilla golden123
goldfish goldfish1 goodbye1 goodlife google123 gorgeous grandma1 green123 greenbay greenday greenday1 griffin1
guest123 guest1234 guestguest guitarra hallo123 hallo1234 halloween hamburger hamster1 hannah123 happyday hardware
harley123 harrypotter haslo123 heather1 heavenly heineken hellfire hello123 hello123! hello1234 hello12345 hello@123
hellohello hellokitty helloworld helloworld1 helpme123 hhhhhhhh hiphop123 hockey123 hogwarts hola1234 holiday1
homework honeybee honeypie hongkong hotdog123 hotstuff hottie123 hunter123 hunter22 hurricane ihateyou ihateyou1
ilikepie ilovecats ilovedogs ilovegod iloveher ilovehim ilovejesus iloveme1 ilovemom ilovemusic ilovemyself iloveyou
iloveyou! iloveyou1 iloveyou12 iloveyou123 iloveyou2 iloveyou3 india123 india@123 indian123 indonesia instagram
internet iphone123 ironman1 isabella italiano jackass1 jackpot1 jackson1 jacob123 january1 jasmin123 jasmine1 jeffrey1
jellybean jennifer jennifer1 jeremy123 jessica1 jessica123 jesus123 jesuschrist jesusislord jjjjjjjj johncena johnson1
jonathan jonathan1 jordan23 joshua123 justice1 justin123 justinbi juventus juventus1 kangaroo kawasaki keyboard
killer123 kimberly kingdom1 kingkong kittens1 kkkkkkkk knights1 kobe2424 kochamcie korea123 krishna1 krishna123
labrador ladybug1 ladybug123 ladygaga lakers24 lamborghini laptop123 lasvegas legolas1 lenovo123 leonardo letmein!
letmein1 letmein12 letmein123 letmein1234 letmein2 letmein2024 letmeinnow letmeinplease liberty1 lightning linkedin
linkinpark livelife liverpool liverpool1 lkjhgfds lkjhgfdsa llllllll login123 loginlogin loginpass logmein1 lollipop
london123 love1234 love4ever loveforever lovelove lovely123 lover123 loverboy lovergirl loveyou1 loveyou123 lucifer1
lucky123 lösenord macintosh madison1 madonna1 malaysia manager1 manager123 manchester manutd123 marathon marijuana
marina123 marines1 mariposa mariposa1 marseille marshmallow martinez master123 masters1 matrix123 matthew1 matthew123
melissa1 melissa123 mercedes merlin123 mermaid1 metallica metallica1 miami123 michael! michael1 michael12 michael123
michael2 michael23 michelle michelle1 mickeymouse microsoft midnight military million1 minecraft minecraft1 minnie123
misiaczek mitchell mmmmmmmm mnbvcxz1 mnbvcxza mommy123 moneyman mongo123 mongodb1 monkey123 monkeys1 moonlight
motdepasse mother123 motherfucker motorola mountain mountaindew muhammad mustang1 mustang69 mustangs myfamily
mypass123 mypassword mypassword! mypassword1 mypassword123 mysql123 napoleon natalie1 natasha1 navyseal ncc1701d
ncc1701e network1 newpass1 newpass123 newpassword newpassword1 newyork1 nicholas nicole123 nikita123 nintendo nirvana1
nnnnnnnn nopassword nothing1 november november1 oldpassword oliver123 olivia123 onelove1 oooooooo opensesame
opensesame1 openup123 operator operator1 operator123 orange123 oranges1 p@55w0rd p@55word p@ssw0rd p@ssw0rd! p@ssw0rd1
p@ssw0rd12 p@ssw0rd123 p@ssw0rd1234 p@ssw0rd2024 p@ssw0rd2025 p@ssword p@ssword1 p@ssword12 p@ssword123 pa$$w0rd
pa$$w0rd1 pa$$word pa$$word1 pa55w0rd pa55word pa55word1 packers1 pakistan pakistan1 panthers paradise paramore
parol123 pass1234 pass12345 pass123456 pass@123 pass@1234 pass@word1 passcode passcode1 passkey1 passme123 passpass
passpass1 passpass123 passport passthis passw0rd passw0rd! passw0rd1 passw0rd12 passw0rd123 password password!
password. password0 password01 password1 password1! password11 password12 password12! password123 password123!
password1234 password12345 password123456 password2 password2! password2020 password2021 password2022 password2023
password2024 password2025 password2026 password321 password42 passwordpassword passwords passwort passwort! passwort1
passwort123 patricia patricia1 patrick1 patriot1 patriots peace123 peaches1 peanut123 peanutbutter penguin1 penguins
pepper123 pepsi123 phoenix1 phoenix123 picasso1 pikachu1 pineapple pinkpink pitbull1 pizza123 pizzahut platinum
player123 playstation playstation2 poiuytre poiuytrewq pokemon1 pokemon123 police123 polska123 poohbear pornstar
porsche1 porsche911 portugal postgres pppppppp precious predator princesa princesita princess princess! princess1
princess12 princess123 princess13 princess2 pumpkin1 purple123 pussycat python123 q12345678 q123456789 q1w2e3r4
q1w2e3r4t5 q1w2e3r4t5y6 qaz123wsx qazqazqaz qazwsx12 qazwsx123 qazwsxed qazwsxedc qazwsxedcrfv qazxsw123 qazxswedc
qqqqqqqq queenbee question qwe12345 qwe123456 qwe123asd qwe123qwe qwe123rty qweasd123 qweasdzx qweasdzxc qweasdzxc123
qweewq123 qweqweqwe qwer1234 qwer12345 qwer4321 qwert123 qwert1234 qwert12345 qwerty!@# qwerty.123 qwerty1! qwerty11
qwerty12 qwerty12! qwerty123 qwerty1234 qwerty12345 qwerty123456 qwerty1234567 qwerty123456789 qwerty2020 qwerty22
qwerty321 qwerty777 qwerty99 qwerty@123 qwertyasdf qwertyqwerty qwertyu1 qwertyui qwertyuiop qwertyuiop1 qwertyuiop123
qwertz123 qwertzui qwertzuiop rabbit123 racing123 raiders1 rainbow1 randyorton ranger123 rangers1 raspberry realmadrid
rebecca1 rebecca123 redbull1 redskins redsox04 redwings richard1 rihanna1 robert123 roblox123 rockyou1 ronaldo1
root1234 root12345 root@123 rootpass rootpassword rootroot rosebud1 running1 samantha sample123 samsung1 samsung123
samurai1 sandiego sandwich sapphire saturday savannah scarface schalke04 schatz123 school123 scooby123 scoobydoo
scorpio1 scorpion scorpion1 scotland sebastian secret12 secret123 secret123! secret1234 secret12345 secretpassword
secrets1 security security1 security123 semperfi senha123 sephiroth september server123 sesame123 sexygirl sexylove
sexysexy shadow123 shadows1 shithead silver123 simpsons singapore singing1 sister123 skateboard skater123 skywalker
slipknot slipknot1 smiley123 snapchat snickers snoopdog snoopy123 snowboard snowflake snowman1 soccer10 soccer123
software soleil123 something sommer2020 sommer2021 sommer2022 sommer2023 sommer2024 sommer2025 sonnenschein soulmate
spaghetti spartak1 spartans spider123 spiderman spiderman1 spongebob spongebob1 spring2020 spring2021 spring2022
spring2023 spring2024 spring2025 spring2026 squirrel ssssssss stallion starbucks starcraft starlight startrek starwars
starwars1 steelers steelers1 stephanie stephen1 stonecold strawberry strawberry1 students stupid123 success1 sugar123
summer2020 summer2021 summer2022 summer2023 summer2024 summer2025 summer2026 sunflower sunshine sunshine! sunshine1
sunshine12 sunshine123 sunshine2 superadmin superadmin123 supergirl superman superman! superman1 superman12
superman123 superman2 superstar superuser superuser1 supervisor sweetheart sweetie1 sweetpea swordfish sysadmin
sysadmin1 sysadmin123 system123 teamo123 teamo1234 technics teddybear temp1234 temp12345 temporary temporary1 temppass
temppass1 temppass123 tennis123 tequiero tequila1 terminator test123! test1234 test12345 test123456 test@123 test@1234
tester123 testing1 testing12 testing123 testing1234 testpass testpass1 testpass123 testpassword testtest testtest1
testtest123 testuser testuser1 thankgod thankyou thepassword therock1 thomas123 thunder1 thunderbird thursday tiger123
tigger123 tinkerbell tomorrow toor1234 topsecret topsecret1 topsecret123 tornado1 trinity1 truelove trustno1 tttttttt
turtle123 twilight twitter1 ubuntu123 undertaker unicorns unknown1 user1234 user12345 user@123 username username1
username123 useruser vacation vanessa1 veronica veronica1 victoria victory1 vietnam1 vikings1 violet123 virginia
volleyball voyager1 w3lcome1 wachtwoord wangwang warcraft warrior1 warriors washington welcome! welcome1 welcome1!
welcome12 welcome123 welcome123! welcome1234 welcome12345 welcome2 welcome2020 welcome2021 welcome2022 welcome2023
welcome2024 welcome2025 welcome2026 welcome@1 welcome@123 welcomehome welkom01 werewolf westside whatever whatever1
whatsapp whiskey1 wildcats william1 williams windows1 windowsxp winner123 winning1 winter123 winter2020 winter2021
winter2022 winter2023 winter2024 winter2025 winter2026 wizard123 wizards1 woaini123 woaini1314 woaini520 wolfgang
wolfpack wolverine wwwwwwww xxxxxxxx yamaha123 yankees1 yankees2 yesterday yourpassword youtube1 yyyyyyyy z1234567
zachary1 zaq123wsx zaq12wsx zaq12wsxcde zaq1xsw2 zaq1zaq1 zaqwsxcde zaqxswcde zeppelin zombie123 zombies1 zxc12345
zxc123456 zxcasdqwe zxcasdqwe123 zxcv1234 zxcvb123 zxcvbn123 zxcvbnm, zxcvbnm,. zxcvbnm,./ zxcvbnm1 zxcvbnm123
zxcvbnmm zxcvzxcv zzzzzzzz
`

let known: ReadonlySet<string> | undefined

/** Split by the first new password: an isolate that sees none keeps one string. */
export function commonPasswords(): ReadonlySet<string> {
  known ??= new Set(words.trim().split(/\s+/))
  return known
}
