package devidp

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"path/filepath"
)

// storedUser is a machine user at rest: no private key and no secret, only what checks them.
type storedUser struct {
	User
	ID         string    `json:"id"`
	Active     bool      `json:"active"`
	Session    string    `json:"session"` // changes with every deactivation
	SecretHash string    `json:"secret_hash"`
	Key        publicKey `json:"key"`
}

func (u storedUser) opaque() bool { return u.TokenType == TokenBearer }

// publicKey is the half of a machine key that the provider keeps.
type publicKey struct {
	ID   string `json:"id"`
	PKIX string `json:"pkix"` // PEM
}

func (k publicKey) open() (any, error) {
	block, _ := pem.Decode([]byte(k.PKIX))
	if block == nil {
		return nil, fmt.Errorf("machine key %s is not PEM", k.ID)
	}
	return x509.ParsePKIXPublicKey(block.Bytes)
}

// KeyFile is a machine key as Zitadel's console hands it out.
type KeyFile struct {
	Type   string `json:"type"` // serviceaccount
	KeyID  string `json:"keyId"`
	Key    string `json:"key"` // PEM, PKCS #1
	UserID string `json:"userId"`
}

const keyFileType = "serviceaccount"

// applicationKeyFile is the key of an application of type API as Zitadel's console hands it out.
type applicationKeyFile struct {
	Type     string `json:"type"` // application
	KeyID    string `json:"keyId"`
	Key      string `json:"key"` // PEM, PKCS #1
	AppID    string `json:"appId"`
	ClientID string `json:"clientId"`
}

const applicationKeyType = "application"

// newMachineKey makes a key, and returns the half that the provider keeps and the private one as PEM, PKCS #1.
func newMachineKey() (kept publicKey, private string, err error) {
	key, err := rsa.GenerateKey(rand.Reader, rsaBits)
	if err != nil {
		return publicKey{}, "", err
	}
	pkix, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return publicKey{}, "", err
	}
	kept = publicKey{ID: newID(), PKIX: string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: pkix}))}
	return kept, string(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)})), nil
}

// KeyFilePath is where a user's machine key lies below the data directory, or that of the application "api".
func KeyFilePath(dataDir, user string) string { return filepath.Join(dataDir, "keys", user+".json") }

// secretPath is where a client's secret lies below the data directory.
func secretPath(dataDir, client string) string { return filepath.Join(dataDir, "secrets", client) }

// newUser makes a user and writes its two credentials, the machine key and the client secret, below dataDir.
func newUser(dataDir string, u User) (storedUser, error) {
	u.setDefaults()
	if err := u.check(); err != nil {
		return storedUser{}, err
	}
	key, private, err := newMachineKey()
	if err != nil {
		return storedUser{}, err
	}
	made := storedUser{User: u, ID: newID(), Active: true, Session: newID(), Key: key}
	file, err := json.Marshal(KeyFile{Type: keyFileType, KeyID: key.ID, Key: private, UserID: made.ID})
	if err != nil {
		return storedUser{}, err
	}
	if err := writeSecretFile(KeyFilePath(dataDir, u.Name), file); err != nil {
		return storedUser{}, err
	}
	secret := newSecret()
	if err := writeSecretFile(secretPath(dataDir, u.Name), []byte(secret+"\n")); err != nil {
		return storedUser{}, err
	}
	made.SecretHash = hashSecret(secret)
	return made, nil
}
